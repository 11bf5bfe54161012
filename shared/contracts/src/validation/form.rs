//! The forms of a text.

/// The allowed characters of a text.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Any,
    Uuid,
    /// No control characters: the text goes into one line of a mail.
    OneLine,
    /// As `OneLine`, but surrounding space may contain control characters: the reader removes it.
    PaddedLine,
    /// No control characters except line breaks and tabs: PostgreSQL cannot store NUL.
    Lines,
}

pub(super) fn wrong_form(text: &str, form: Form) -> Option<&'static str> {
    let is_break = |character| matches!(character, '\n' | '\r' | '\t');
    // The characters of `\s`.
    let trimmed = text.trim_matches(['\t', '\n', '\u{c}', '\r', ' ']);
    match form {
        Form::Uuid if !is_uuid_text(text) => Some("must be a UUID in lower case with hyphens"),
        Form::OneLine if text.contains(char::is_control) => {
            Some("must have no control characters, such as line breaks")
        }
        Form::PaddedLine if trimmed.contains(char::is_control) => {
            Some("must have no control characters, such as line breaks")
        }
        Form::Lines if text.contains(|c: char| c.is_control() && !is_break(c)) => {
            Some("must have no control characters but line breaks and tabs")
        }
        _ => None,
    }
}

/// In any case, as `buf.validate` defines it.
fn is_uuid_text(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
