//! Collects the violations of a request, so that one answer names every field.
//!
//! The violations of the contract ([`Violations::of`]) come first, then those of the domain. Each field is named once,
//! with its first violation.

use std::collections::HashSet;

use uuid::Uuid;

/// Violations that the message repeats.
const SUMMARISED: usize = 3;
/// A small request can contain very many.
const MOST: usize = 1000;
/// In base64 below the 8 KiB of headers that clients accept.
const DETAIL_BYTES: usize = 4096;
/// Tags and lengths of one violation on the wire.
const FRAMING_BYTES: usize = 8;

/// One invalid field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's path in the request, in proto names: `lines[2].quantity`.
    pub field: String,
    /// What the field must be, for the caller.
    pub description: String,
}

impl Violation {
    /// `field` must be what `description` says.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            description: description.into(),
        }
    }
}

/// In the order of detection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    pub(super) found: Vec<Violation>,
    fields: HashSet<String>,
}

impl Violations {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// The violations of a request's contract, as field and description.
    pub fn of<V: Into<(String, String)>>(found: Vec<V>) -> Self {
        let mut violations = Self::new();
        for violation in found {
            let (field, description) = violation.into();
            violations.add(field, description);
        }
        violations
    }

    /// `field` (its path, such as `lines[2].quantity`) must be what `description` says. Ignored if the field already
    /// has a violation, or after a thousand others.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        let field = field.into();
        if self.found.len() < MOST && self.fields.insert(field.clone()) {
            self.found.push(Violation::new(field, description));
        }
    }

    /// The id in `field`. If `raw` is not a UUID, adds a violation and returns the nil id.
    pub fn uuid(&mut self, field: &str, raw: &str) -> Uuid {
        // Only the usual form: code that compares text would see several ids.
        let parsed = Uuid::parse_str(raw).ok().filter(|id| id.to_string() == raw);
        parsed.unwrap_or_else(|| {
            self.add(field, "must be a UUID in lower case with hyphens");
            Uuid::nil()
        })
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// For people who see only the message; the details have the rest.
pub(super) fn summary(violations: &[Violation]) -> String {
    let shown = violations.iter().take(SUMMARISED);
    let mut parts: Vec<String> = shown
        .map(|violation| format!("{} {}", violation.field, violation.description))
        .collect();
    if violations.len() > SUMMARISED {
        parts.push(format!("and {} more", violations.len() - SUMMARISED));
    }
    format!("the request is not valid: {}", parts.join("; "))
}

/// As many as fit into the headers of an answer. The last entry has the number of the others.
pub(super) fn that_fit(violations: Vec<Violation>) -> Vec<Violation> {
    let mut room = DETAIL_BYTES;
    let total = violations.len();
    let mut kept = Vec::new();
    for violation in violations {
        let size = violation.field.len() + violation.description.len() + FRAMING_BYTES;
        if size > room {
            let left_out = total - kept.len();
            kept.push(Violation::new(
                "",
                format!("and {left_out} more violations"),
            ));
            break;
        }
        room -= size;
        kept.push(violation);
    }
    kept
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn no_violation_is_no_error() {
        assert!(Violations::new().into_result().is_ok());
    }

    #[test]
    fn every_violation_is_in_the_answer() {
        let mut violations = Violations::new();
        violations.add("email", "must be an e-mail address");
        violations.add("lines[2].quantity", "must be at least 1");
        let status = violations.into_result().unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        let found = &details.bad_request().unwrap().field_violations;
        let fields: Vec<&str> = found.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["email", "lines[2].quantity"]);
    }

    #[test]
    fn a_field_is_named_once_with_what_its_contract_says() {
        let contract = vec![("email".to_owned(), "is required".to_owned())];
        let mut violations = Violations::of(contract);
        violations.add("email", "must be an e-mail address");
        violations.add("user_id", "must be a UUID");
        let status = violations.into_result().unwrap_err();
        let expected = "the request is not valid: email is required; user_id must be a UUID";
        assert_eq!(status.message(), expected);
    }

    #[test]
    fn an_answer_fits_into_the_headers_however_wrong_the_request_is() {
        let mut violations = Violations::new();
        for line in 0..10_000 {
            violations.add(format!("lines[{line}].quantity"), "must be at least 1");
        }
        let status = violations.into_result().unwrap_err();
        assert!(status.details().len() < 5_000, "{}", status.details().len());
        assert!(status.message().ends_with("; and 997 more"));
        let details = status.get_error_details();
        let found = &details.bad_request().unwrap().field_violations;
        let last = found.last().unwrap();
        let left_out = MOST - (found.len() - 1);
        assert_eq!(last.description, format!("and {left_out} more violations"));
    }
}
