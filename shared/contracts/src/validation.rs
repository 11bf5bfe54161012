//! Validates a request by the `buf.validate` annotations of its proto file.
//!
//! The build generates one [`Validate`] for each message that a request can contain. Rules that annotations cannot
//! express belong to the domain.

use std::fmt::Write as _;

mod form;
#[cfg(test)]
mod tests;

pub use form::Form;
use form::wrong_form;

/// A small request can contain very many.
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
    /// In the order of its fields: at most one per field and 1000 in all.
    fn violations(&self) -> Vec<FieldViolation> {
        let mut found = Findings::default();
        self.check(&mut found);
        found.found
    }

    /// Adds its violations to `found`.
    #[doc(hidden)]
    fn check(&self, found: &mut Findings);
}

/// The violations so far, and the path of the checked message.
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

    /// Lengths count characters.
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

    pub fn each(&mut self, field: &str, elements: &[impl Validate]) {
        for (index, element) in elements.iter().enumerate() {
            if self.found.len() == MOST {
                return;
            }
            self.within(&format!("{field}[{index}]"), element);
        }
    }

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
