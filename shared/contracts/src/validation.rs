//! Validates a request by the `buf.validate` annotations of its proto file.
//!
//! The build generates one [`Validate`] for each message that a request can contain, as calls of the functions here.
//! Rules that annotations cannot express belong to the domain.

use std::fmt::Write as _;

/// No reader needs more, and a small request can contain very many.
const MOST: usize = 1000;

/// One field that breaks a rule of its proto file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path in the request, in proto names: `lines[2].quantity`.
    pub field: String,
    /// What the field must be, for the caller. Never its value.
    pub description: String,
}

impl From<FieldViolation> for (String, String) {
    fn from(violation: FieldViolation) -> Self {
        (violation.field, violation.description)
    }
}

/// A message that a request can contain.
pub trait Validate {
    /// Its violations in the order of its fields: at most one per field and 1000 in all.
    fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Findings::default();
        self.check(&mut found);
        found.found
    }

    /// Adds its violations to `found`.
    #[doc(hidden)]
    fn check(&self, found: &mut Findings);
}

/// The allowed characters of a text.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Any,
    Uuid,
    /// No control characters: such a text goes into one line of a mail.
    OneLine,
    /// As `OneLine`, but surrounding space may contain control characters, because the reader removes it.
    PaddedLine,
    /// No control characters except line breaks and tabs. Others do not belong in text for people, and PostgreSQL
    /// cannot store NUL.
    Lines,
}

/// The violations so far, and the path of the message that is being checked.
#[doc(hidden)]
#[derive(Default)]
pub struct Findings {
    path: String,
    found: Vec<FieldViolation>,
}

impl Findings {
    pub fn required(&mut self, field: &str, is_there: bool) {
        if !is_there {
            self.add(field, "is required".to_owned());
        }
    }

    /// Lengths are counted in characters.
    pub fn text(&mut self, field: &str, value: &str, min: u64, max: u64, form: Form) {
        if value.is_empty() && min == 1 {
            return self.required(field, false);
        }
        let characters = u64::try_from(value.chars().count()).unwrap_or(u64::MAX);
        if !(min..=max).contains(&characters) {
            self.add(field, format!("must have {} characters", range(min, max)));
        } else if let Some(description) = wrong_form(value, form) {
            self.add(field, description.to_owned());
        }
    }

    pub fn bytes(&mut self, field: &str, value: &[u8], min: u64, max: u64) {
        if value.is_empty() && min == 1 {
            return self.required(field, false);
        }
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        if !(min..=max).contains(&length) {
            self.add(field, format!("must have {} bytes", range(min, max)));
        }
    }

    pub fn number(&mut self, field: &str, value: i128, min: Option<i128>, max: Option<i128>) {
        let fits = min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
        if fits {
            return;
        }
        let description = match (min, max) {
            (Some(0), None) => "must not be negative".to_owned(),
            (Some(min), None) => format!("must be at least {min}"),
            (None, Some(max)) => format!("must be at most {max}"),
            (Some(min), Some(max)) => format!("must be from {min} to {max}"),
            (None, None) => return,
        };
        self.add(field, description);
    }

    /// `allowed` are the accepted enum values with their names.
    pub fn choice(&mut self, field: &str, value: i32, allowed: &[(i32, &str)]) {
        if allowed.iter().any(|(number, _)| *number == value) {
            return;
        }
        let names: Vec<&str> = allowed.iter().map(|(_, name)| *name).collect();
        self.add(field, format!("must be one of {}", names.join(", ")));
    }

    pub fn list(&mut self, field: &str, length: usize, min: u64, max: u64) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        if !(min..=max).contains(&length) {
            self.add(field, format!("must have {} elements", range(min, max)));
        }
    }

    /// Checks each element of a list.
    pub fn each(&mut self, field: &str, elements: &[impl Validate]) {
        for (index, element) in elements.iter().enumerate() {
            if self.found.len() == MOST {
                return;
            }
            self.within(&format!("{field}[{index}]"), element);
        }
    }

    /// Checks the message of a field if it is set.
    pub fn inner(&mut self, field: &str, message: Option<&impl Validate>) {
        if let Some(message) = message {
            self.within(field, message);
        }
    }

    fn within(&mut self, field: &str, message: &impl Validate) {
        let outside = self.path.len();
        let _ = write!(self.path, "{field}.");
        message.check(self);
        self.path.truncate(outside);
    }

    fn add(&mut self, field: &str, description: String) {
        if self.found.len() == MOST {
            return;
        }
        self.found.push(FieldViolation {
            field: format!("{}{field}", self.path),
            description,
        });
    }
}

fn range(min: u64, max: u64) -> String {
    match (min, max) {
        (min, u64::MAX) => format!("at least {min}"),
        (0, max) => format!("at most {max}"),
        (min, max) if min == max => format!("exactly {min}"),
        (min, max) => format!("from {min} to {max}"),
    }
}

fn wrong_form(text: &str, form: Form) -> Option<&'static str> {
    let is_break = |character| matches!(character, '\n' | '\r' | '\t');
    // The characters that `\s` matches in a pattern.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `check` finds, as text.
    fn found(check: impl FnOnce(&mut Findings)) -> Vec<String> {
        let mut findings = Findings::default();
        check(&mut findings);
        let found = findings.found.into_iter();
        found
            .map(|one| format!("{} {}", one.field, one.description))
            .collect()
    }

    #[test]
    fn text_is_measured_in_characters_and_its_limits_are_taken() {
        for (text, min, max) in [("ßß", 2, 2), ("🫖", 1, 1), ("", 0, 5), ("abc", 0, u64::MAX)] {
            assert!(found(|it| it.text("a", text, min, max, Form::Any)).is_empty());
        }
        for (text, min, max, said) in [
            ("", 1, 5, "a is required"),
            ("", 8, 9, "a must have from 8 to 9 characters"),
            ("ßßß", 1, 2, "a must have from 1 to 2 characters"),
            ("ß", 2, 2, "a must have exactly 2 characters"),
            ("ßßß", 0, 2, "a must have at most 2 characters"),
            ("ß", 2, u64::MAX, "a must have at least 2 characters"),
        ] {
            assert_eq!(found(|it| it.text("a", text, min, max, Form::Any)), [said]);
        }
    }

    #[test]
    fn control_characters_are_refused_except_breaks_and_tabs() {
        let said = |text: &str, form| found(|it| it.text("a", text, 0, u64::MAX, form));
        let in_line = ["a must have no control characters, such as line breaks"];
        let in_lines = ["a must have no control characters but line breaks and tabs"];
        for text in ["", "Ada Lovelace", "ß🫖", "a\u{2028}b"] {
            assert_eq!(said(text, Form::OneLine), [""; 0], "{text:?}");
            assert_eq!(said(text, Form::Lines), [""; 0], "{text:?}");
        }
        for text in ["a\nb", "a\r\n", "\t"] {
            assert_eq!(said(text, Form::OneLine), in_line, "{text:?}");
            assert_eq!(said(text, Form::Lines), [""; 0], "{text:?}");
        }
        for text in ["\n Ada Lovelace\t", " \r\n", "Ada"] {
            assert_eq!(said(text, Form::PaddedLine), [""; 0], "{text:?}");
        }
        for text in ["Ada\nLovelace", "Ada\0", " \u{7} "] {
            assert_eq!(said(text, Form::PaddedLine), in_line, "{text:?}");
        }
        for text in ["a\0", "\u{7}", "\u{1b}[31m", "\u{7f}", "a\u{85}b"] {
            assert_eq!(said(text, Form::OneLine), in_line, "{text:?}");
            assert_eq!(said(text, Form::Lines), in_lines, "{text:?}");
        }
    }

    #[test]
    fn a_uuid_has_its_hyphens_and_nothing_else() {
        let uuid = "01890a5d-ac96-774b-bcce-B302099A8057";
        assert!(found(|it| it.text("a", uuid, 0, u64::MAX, Form::Uuid)).is_empty());
        let simple = uuid.replace('-', "");
        let braced = format!("{{{uuid}}}");
        let shifted = uuid.replace("d-a", "-da");
        for text in [
            "",
            "ada",
            &simple,
            &braced,
            &shifted,
            &uuid.replace('a', "g"),
        ] {
            assert_eq!(
                found(|it| it.text("a", text, 0, u64::MAX, Form::Uuid)).len(),
                1,
                "{text}"
            );
        }
    }

    #[test]
    fn bytes_numbers_and_lists_keep_to_their_bounds() {
        assert_eq!(found(|it| it.bytes("a", b"", 1, 4)), ["a is required"]);
        let five = found(|it| it.bytes("a", b"12345", 1, 4));
        assert_eq!(five, ["a must have from 1 to 4 bytes"]);
        for (value, min, max, said) in [
            (-1, Some(0), None, "a must not be negative"),
            (0, Some(1), None, "a must be at least 1"),
            (9, None, Some(8), "a must be at most 8"),
            (0, Some(1), Some(8), "a must be from 1 to 8"),
        ] {
            assert_eq!(found(|it| it.number("a", value, min, max)), [said]);
        }
        assert!(found(|it| it.number("a", 8, Some(8), Some(8))).is_empty());
        assert_eq!(
            found(|it| it.list("a", 0, 1, 3)),
            ["a must have from 1 to 3 elements"]
        );
        assert!(found(|it| it.list("a", 3, 1, 3)).is_empty());
    }

    #[test]
    fn the_number_of_reported_mistakes_is_bounded() {
        let numbers = |it: &mut Findings| {
            for index in 0..10_000 {
                it.number(&format!("a[{index}]"), -1, Some(0), None);
            }
        };
        assert_eq!(found(numbers).len(), MOST);
    }

    #[test]
    fn a_choice_is_one_of_the_names_that_it_lists() {
        let allowed = [(1, "STATE_ON"), (2, "STATE_OFF")];
        assert!(found(|it| it.choice("a", 2, &allowed)).is_empty());
        for value in [0, 3, -1] {
            let found = found(|it| it.choice("a", value, &allowed));
            assert_eq!(found, ["a must be one of STATE_ON, STATE_OFF"]);
        }
    }
}
