//! `*` and `?` as policies use them: any run of characters, any one character.

pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at_pattern, mut at_text) = (0, 0);
    // Where the last `*` stands and how much of the text it has swallowed so far: the place to go back to.
    let mut star: Option<(usize, usize)> = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some('*') => {
                star = Some((at_pattern, at_text));
                at_pattern += 1;
                continue;
            }
            Some(wanted) if *wanted == '?' || Some(wanted) == text.get(at_text) => {
                at_pattern += 1;
                at_text += 1;
                continue;
            }
            Some(_) | None => {}
        }
        let Some((star_pattern, swallowed)) = star else {
            return false;
        };
        star = Some((star_pattern, swallowed + 1));
        at_pattern = star_pattern + 1;
        at_text = swallowed + 1;
    }
    pattern.iter().skip(at_pattern).all(|rest| *rest == '*')
}

pub(super) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_lowercase(), &text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("arn:aws:iam::*:root", "arn:aws:iam::111122223333:root", true),
            ("arn:aws:iam::*:root", "arn:aws:iam::111122223333:user/root", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "`{pattern}` against `{text}`");
        }
    }
}
