//! DynamoDB's numbers: decimals of up to 38 significant digits, compared as numbers and not as text.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::invalid;
use crate::api::ApiError;

/// 0.DIGITS times ten to the power of `exponent`, exactly.
///
/// The digits begin and end with none that is 0, so equal numbers are equal here, however they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    is_negative: bool,
    /// Empty for zero.
    digits: Vec<u8>,
    exponent: i32,
}

/// "Data types" in the DynamoDB developer guide: up to 38 digits, from 1E-130 to 9.99...E+125.
const MOST_DIGITS: usize = 38;
const LARGEST_EXPONENT: i32 = 126;
const SMALLEST_EXPONENT: i32 = -129;

impl FromStr for Number {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let malformed = || match text {
            "" => invalid("The parameter cannot be converted to a numeric value"),
            text => invalid(format!("The parameter cannot be converted to a numeric value: {text}")),
        };
        let (mantissa, power) = match text.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().map_err(|_| malformed())?),
            None => (text, 0),
        };
        let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let written = [whole, fraction].concat();
        if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed());
        }
        let digits: Vec<u8> = written.bytes().map(|byte| byte - b'0').collect();
        let leading = digits.iter().take_while(|digit| **digit == 0).count();
        let significant = digits.get(leading..).unwrap_or_default();
        let length = significant.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        let digits = significant.get(..length).unwrap_or_default().to_vec();
        if digits.is_empty() {
            return Ok(Self { is_negative: false, digits, exponent: 0 });
        }
        if digits.len() > MOST_DIGITS {
            return Err(invalid("Attempting to store more than 38 significant digits in a Number"));
        }
        let point = i32::try_from(whole.len()).map_err(|_| malformed())?;
        let leading = i32::try_from(leading).map_err(|_| malformed())?;
        let exponent = power.saturating_add(point - leading);
        if exponent > LARGEST_EXPONENT {
            return Err(invalid(
                "Number overflow. Attempting to store a number with magnitude larger than supported range",
            ));
        }
        if exponent < SMALLEST_EXPONENT {
            return Err(invalid(
                "Number underflow. Attempting to store a number with magnitude smaller than supported range",
            ));
        }
        Ok(Self { is_negative, digits, exponent })
    }
}

impl Number {
    /// "DynamoDB item sizes and formats": a byte for each two significant digits, and one more.
    pub(super) fn size(&self) -> usize {
        self.digits.len().div_ceil(2) + 1 + usize::from(self.is_negative)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let magnitude = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        match sign(self).cmp(&sign(other)) {
            Ordering::Equal if self.is_negative => magnitude.reverse(),
            Ordering::Equal => magnitude,
            order @ (Ordering::Less | Ordering::Greater) => order,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Without an exponent, as DynamoDB answers.
impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return write!(formatter, "0");
        }
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let sign = if self.is_negative { "-" } else { "" };
        match usize::try_from(self.exponent) {
            Ok(point) if point >= digits.len() => write!(formatter, "{sign}{digits:0<point$}"),
            Ok(point) if point > 0 => {
                let (whole, fraction) = digits.split_at(point);
                write!(formatter, "{sign}{whole}.{fraction}")
            }
            _ => {
                let zeros = "0".repeat(usize::try_from(-self.exponent).unwrap_or_default());
                write!(formatter, "{sign}0.{zeros}{digits}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_compare_as_numbers() {
        let ascending = ["-1e3", "-10", "-9.5", "-0.01", "0", "1e-130", "0.9", "2", "10", "10.01", "9e125"];
        for (place, smaller) in ascending.iter().enumerate() {
            for larger in &ascending[place + 1..] {
                assert!(number(smaller) < number(larger), "{smaller} < {larger}");
            }
        }
        for same in ["100", "1e2", "+100.00", "0.1E+3", "00100"] {
            assert_eq!(number(same), number("100"), "{same}");
        }
        assert_eq!(number("-0"), number("0.00"));
    }

    #[test]
    fn numbers_are_written_without_an_exponent() {
        for (text, expected) in
            [("1e2", "100"), ("-12.50", "-12.5"), ("1E-3", "0.001"), ("0.5", "0.5"), ("1732000000", "1732000000")]
        {
            assert_eq!(number(text).to_string(), expected);
        }
    }

    #[test]
    fn what_dynamodb_cannot_store_is_refused() {
        for (text, problem) in [
            ("", "The parameter cannot be converted to a numeric value"),
            ("x", "The parameter cannot be converted to a numeric value: x"),
            ("1.2.3", "The parameter cannot be converted to a numeric value: 1.2.3"),
            ("123456789012345678901234567890123456789", "Attempting to store more than 38 significant digits"),
            ("1e126", "Number overflow."),
            ("1e-131", "Number underflow."),
        ] {
            let error = text.parse::<Number>().unwrap_err();
            assert!(error.message.starts_with(problem), "{text}: {error}");
        }
    }
}
