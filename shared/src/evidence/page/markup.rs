//! HTML out of text that is not ours.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::domain::record::Verdict;
use crate::evidence::words::{minute, verdict_class, verdict_name};

/// Text as HTML, in an element or in a quoted attribute. Control characters, which HTML has no way to say, are shown as
/// replaced.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text of a sentence of its own: what is in backticks is code, and it begins and ends as a sentence does.
pub(super) fn prose(text: &str) -> String {
    let is_ended = text.trim_end().ends_with(['.', '!', '?']);
    let part = |(index, part): (usize, &str)| match index {
        0 => escape(&capitalized(part)),
        code if code % 2 == 1 => format!("<code>{}</code>", escape(part)),
        _ => escape(part),
    };
    let html: String = text.trim().split('`').enumerate().map(part).collect();
    if is_ended { html } else { html + "." }
}

/// An operation, such as `s3:GetObject`, stays as it is written.
fn capitalized(text: &str) -> String {
    if text.split(' ').next().is_some_and(|word| word.contains(':') && !word.ends_with(':')) {
        return text.to_owned();
    }
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// A name, kept from changing the direction of the text around it.
pub(super) fn name(name: Option<&str>) -> String {
    match name {
        Some(name) => format!("<bdi>{}</bdi>", escape(name)),
        None => "<i>no name</i>".to_owned(),
    }
}

/// An identifier.
pub(super) fn id(id: &str) -> String {
    format!("<span class=\"id\">{}</span>", escape(id))
}

/// A moment, in UTC; the script adds the reader's own time.
pub(super) fn time(at: OffsetDateTime) -> String {
    format!("<time datetime=\"{}\">{}</time> UTC", at.format(&Rfc3339).unwrap_or_default(), minute(at))
}

/// The symbol of a verdict; its name must stand beside it.
pub(super) fn symbol(verdict: Verdict) -> String {
    let class = verdict_class(verdict);
    format!("<svg class=\"symbol v-{class}\" aria-hidden=\"true\"><use href=\"#s-{class}\"/></svg>")
}

/// Symbol and name.
pub(super) fn badge(verdict: Verdict) -> String {
    format!("<span class=\"badge v-{}\">{}{}</span>", verdict_class(verdict), symbol(verdict), verdict_name(verdict))
}

/// Puts the values in the places of the template that are marked `{{name}}`. A value is never read for marks itself.
pub(super) fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((mark, behind)) = after.split_once("}}") else { break };
        let value = values.iter().find(|(name, _)| *name == mark).map(|(_, value)| value.as_str());
        filled.push_str(value.unwrap_or_default());
        rest = behind;
    }
    filled.push_str(rest);
    filled
}

/// JSON for a `script` element: nothing in it can end the element or begin a comment there
/// (<https://html.spec.whatwg.org/multipage/scripting.html#restrictions-for-contents-of-script-elements>). All these
/// characters can only be within strings.
pub(super) fn script_json(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_markup() {
        assert_eq!(
            escape("<b a='x' c=\"y\">&\0\u{1b}"),
            "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;\u{fffd}\u{fffd}"
        );
        let json = script_json(&serde_json::to_string("</script><!-- \u{2028}\u{2029} &").unwrap());
        assert_eq!(json, r#""\u003c/script\u003e\u003c!-- \u2028\u2029 \u0026""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "</script><!-- \u{2028}\u{2029} &");
    }

    #[test]
    fn prose_is_a_sentence_with_code() {
        assert_eq!(prose("none: lower `Concurrency` if <b>"), "None: lower <code>Concurrency</code> if &lt;b&gt;.");
        assert_eq!(prose("s3:GetObject failed"), "s3:GetObject failed.");
        assert_eq!(prose("`x` is y."), "<code>x</code> is y.");
        assert_eq!(prose("one ` alone"), "One <code> alone</code>.", "never an element that is left open");
    }

    #[test]
    fn a_value_is_not_read_for_marks() {
        let values = [("a", "{{b}}".to_owned()), ("b", "B".to_owned())];
        assert_eq!(fill("<{{a}}|{{b}}>", &values), "<{{b}}|B>");
    }
}
