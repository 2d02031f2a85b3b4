//! From the text of an expression to what it means. The problems are in DynamoDB's words.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::{Comparator, Condition, Operand, Path, Placeholders, Step};
use crate::aws::dynamodb::attribute::AttributeValue;

/// "Reserved words in DynamoDB" in the developer guide.
static RESERVED: LazyLock<BTreeSet<&str>> = LazyLock::new(|| include_str!("../reserved_words.txt").lines().collect());

/// "Operators and functions": the only texts that `attribute_type` takes.
const TYPES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

type Parsed<T> = Result<T, String>;

pub(super) fn condition(placeholders: &Placeholders, text: &str) -> Parsed<Condition> {
    let mut parser = Parser::new(placeholders, text)?;
    let condition = parser.disjunction()?;
    parser.end()?;
    Ok(condition)
}

pub(super) fn projection(placeholders: &Placeholders, text: &str) -> Parsed<BTreeSet<String>> {
    let mut parser = Parser::new(placeholders, text)?;
    let mut attributes = BTreeSet::new();
    loop {
        let path = parser.path()?;
        if !path.steps.is_empty() {
            return Err("the simulator does not know projections of members".to_owned());
        }
        if !attributes.insert(path.attribute.clone()) {
            return Err(format!(
                "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: \
                 [{0}], path two: [{0}]",
                path.attribute
            ));
        }
        if !parser.take(",") {
            parser.end()?;
            return Ok(attributes);
        }
    }
}

struct Parser<'a> {
    placeholders: &'a Placeholders,
    tokens: Vec<String>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn new(placeholders: &'a Placeholders, text: &str) -> Parsed<Self> {
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err("The expression can not be empty;".to_owned());
        }
        Ok(Self { placeholders, tokens, next: 0 })
    }

    fn disjunction(&mut self) -> Parsed<Condition> {
        let mut left = self.conjunction()?;
        while self.take_word("OR") {
            left = Condition::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<Condition> {
        let mut left = self.negation()?;
        while self.take_word("AND") {
            left = Condition::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Condition> {
        if self.take_word("NOT") {
            return Ok(Condition::Not(Box::new(self.negation()?)));
        }
        if self.take("(") {
            let inner_end = self.closing_parenthesis();
            let condition = self.disjunction()?;
            if inner_end.is_some_and(|end| end + 1 == self.next && self.peek(0) == Some(")")) {
                return Err("The expression has redundant parentheses;".to_owned());
            }
            self.expect(")")?;
            return Ok(condition);
        }
        match (self.peek(0).map(str::to_owned), self.peek(1)) {
            (Some(function), Some("(")) if function != "size" => self.function(&function),
            _ => self.comparison(),
        }
    }

    fn function(&mut self, function: &str) -> Parsed<Condition> {
        self.next += 2;
        let mut arguments = vec![self.operand()?];
        while self.take(",") {
            arguments.push(self.operand()?);
        }
        self.expect(")")?;
        let expected = match function {
            "attribute_exists" | "attribute_not_exists" => 1,
            "attribute_type" | "begins_with" | "contains" => 2,
            _ => return Err(format!("Invalid function name; function: {function}")),
        };
        if arguments.len() != expected {
            return Err(format!(
                "Incorrect number of operands for operator or function; operator or function: {function}, number of \
                 operands: {}",
                arguments.len()
            ));
        }
        let mut arguments = arguments.into_iter();
        match (function, arguments.next(), arguments.next()) {
            ("attribute_exists", Some(Operand::Path(path)), None) => Ok(Condition::Exists(path)),
            ("attribute_not_exists", Some(Operand::Path(path)), None) => Ok(Condition::NotExists(path)),
            ("attribute_exists" | "attribute_not_exists", _, _) => {
                Err(format!("Operator or function requires a document path; operator or function: {function}"))
            }
            ("attribute_type", Some(Operand::Path(path)), Some(Operand::Value(AttributeValue::S(kind)))) => {
                if !TYPES.contains(&kind.as_str()) {
                    let types = TYPES.join(",");
                    return Err(format!("Invalid attribute type name found; type: {kind}, valid types: {{{types}}}"));
                }
                Ok(Condition::IsOfType(path, kind))
            }
            ("begins_with", Some(operand), Some(beginning)) => {
                match &beginning {
                    Operand::Value(AttributeValue::S(_) | AttributeValue::B(_)) | Operand::Path(_) => {}
                    Operand::Value(value) => return Err(wrong_type(function, value)),
                    Operand::Size(_) => return Err(not_here("size")),
                }
                Ok(Condition::BeginsWith(operand, beginning))
            }
            ("contains", Some(operand), Some(part)) => Ok(Condition::Contains(operand, part)),
            (_, _, Some(Operand::Value(value))) => Err(wrong_type(function, &value)),
            _ => Err(not_here(function)),
        }
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        let operand = self.operand()?;
        if self.take_word("BETWEEN") {
            let low = self.operand()?;
            if !self.take_word("AND") {
                return Err(self.syntax_error());
            }
            let high = self.operand()?;
            if let (Operand::Value(low), Operand::Value(high)) = (&low, &high)
                && low > high
            {
                return Err(format!(
                    "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound \
                     operand: AttributeValue: {}, upper bound operand: AttributeValue: {}",
                    low.to_wire(),
                    high.to_wire()
                ));
            }
            return Ok(Condition::Between(operand, low, high));
        }
        if self.take_word("IN") {
            self.expect("(")?;
            let mut choices = vec![self.operand()?];
            while self.take(",") {
                choices.push(self.operand()?);
            }
            self.expect(")")?;
            return Ok(Condition::In(operand, choices));
        }
        let comparator = match self.peek(0) {
            Some("=") => Comparator::Equal,
            Some("<>") => Comparator::NotEqual,
            Some("<") => Comparator::Less,
            Some("<=") => Comparator::LessOrEqual,
            Some(">") => Comparator::Greater,
            Some(">=") => Comparator::GreaterOrEqual,
            _ => return Err(self.syntax_error()),
        };
        let operator = self.peek(0).unwrap_or_default().to_owned();
        self.next += 1;
        let other = self.operand()?;
        if operand.path().is_some() && operand == other {
            let path = operand.path().map(|path| path.attribute.as_str()).unwrap_or_default();
            return Err(format!(
                "The first operand must be distinct from the remaining operands for this operator or function; operator: \
                 {operator}, first operand: [{path}]"
            ));
        }
        Ok(Condition::Compare(operand, comparator, other))
    }

    /// Where the parenthesis closes that comes next; None if none comes.
    fn closing_parenthesis(&self) -> Option<usize> {
        let mut depth = 0;
        for (place, token) in self.tokens.iter().enumerate().skip(self.next) {
            match token.as_str() {
                "(" => depth += 1,
                ")" if depth == 1 => return Some(place),
                ")" => depth -= 1,
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    fn operand(&mut self) -> Parsed<Operand> {
        match (self.peek(0).map(str::to_owned), self.peek(1)) {
            (Some(key), _) if key.starts_with(':') => {
                let undefined = || {
                    format!("An expression attribute value used in expression is not defined; attribute value: {key}")
                };
                self.next += 1;
                Ok(Operand::Value(self.placeholders.value(&key).ok_or_else(undefined)?.clone()))
            }
            (Some(function), Some("(")) if function == "size" => {
                self.next += 2;
                let path = self.path()?;
                self.expect(")")?;
                Ok(Operand::Size(path))
            }
            (Some(function), Some("(")) => Err(not_here(&function)),
            _ => self.path().map(Operand::Path),
        }
    }

    fn path(&mut self) -> Parsed<Path> {
        let mut path = Path { attribute: self.name()?, steps: Vec::new() };
        loop {
            if self.take(".") {
                path.steps.push(Step::Member(self.name()?));
            } else if self.take("[") {
                let index = self.peek(0).and_then(|token| token.parse().ok()).ok_or_else(|| self.syntax_error())?;
                self.next += 1;
                self.expect("]")?;
                path.steps.push(Step::Index(index));
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Parsed<String> {
        let token = self.peek(0).unwrap_or_default().to_owned();
        if token.starts_with('#') {
            self.next += 1;
            let undefined = || {
                format!(
                    "An expression attribute name used in the document path is not defined; attribute name: {token}"
                )
            };
            return self.placeholders.name(&token).cloned().ok_or_else(undefined);
        }
        if !token.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(self.syntax_error());
        }
        if RESERVED.contains(token.to_ascii_uppercase().as_str()) {
            return Err(format!("Attribute name is a reserved keyword; reserved keyword: {token}"));
        }
        self.next += 1;
        Ok(token)
    }

    fn peek(&self, ahead: usize) -> Option<&str> {
        self.tokens.get(self.next + ahead).map(String::as_str)
    }

    fn take(&mut self, token: &str) -> bool {
        let is_next = self.peek(0) == Some(token);
        self.next += usize::from(is_next);
        is_next
    }

    /// Operators that are words may be written in any case.
    fn take_word(&mut self, word: &str) -> bool {
        let is_next = self.peek(0).is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.take(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn end(&self) -> Parsed<()> {
        if self.peek(0).is_none() { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn syntax_error(&self) -> String {
        let token = self.peek(0).unwrap_or("<EOF>");
        let near = self.tokens.get(self.next.saturating_sub(1)..).unwrap_or_default();
        let near: Vec<_> = near.iter().take(3).map(String::as_str).collect();
        format!("Syntax error; token: \"{token}\", near: \"{}\"", near.join(" "))
    }
}

fn not_here(function: &str) -> String {
    format!("The function is not allowed to be used this way in an expression; function: {function}")
}

fn wrong_type(function: &str, value: &AttributeValue) -> String {
    format!(
        "Incorrect operand type for operator or function; operator or function: {function}, operand type: {}",
        value.kind()
    )
}

fn tokens(text: &str) -> Parsed<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let length = match first {
            '<' if rest.starts_with("<>") || rest.starts_with("<=") => 2,
            '>' if rest.starts_with(">=") => 2,
            '(' | ')' | '[' | ']' | ',' | '.' | '=' | '<' | '>' => 1,
            '#' | ':' => 1 + rest.chars().skip(1).take_while(|letter| is_word(*letter)).count(),
            letter if is_word(letter) => rest.chars().take_while(|letter| is_word(*letter)).count(),
            other => return Err(format!("Syntax error; token: \"{other}\", near: \"{text}\"")),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    Ok(tokens)
}
