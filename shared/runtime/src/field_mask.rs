//! The fields of a resource that an update writes (AIP-134): those in its mask; without a mask the populated ones; with
//! `*` all.

use std::collections::BTreeSet;

use crate::status::Violations;

/// The mask of a request, restricted to writable fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldMask {
    /// No mask.
    Populated,
    /// `*`.
    All,
    /// Individual fields.
    Named(BTreeSet<&'static str>),
}

impl FieldMask {
    /// Reads the paths of a mask. A path that is not in `writable` is a violation of `update_mask`.
    pub fn read(paths: &[String], writable: &[&'static str], violations: &mut Violations) -> Self {
        match paths {
            [] => return Self::Populated,
            [all] if all == "*" => return Self::All,
            _ => {}
        }
        let mut named = BTreeSet::new();
        for path in paths {
            match writable.iter().find(|field| *field == path) {
                Some(field) => {
                    named.insert(*field);
                }
                None => {
                    let fields = writable.join(", ");
                    let description = format!("must be only *, or fields of {fields}");
                    violations.add("update_mask", description);
                }
            }
        }
        Self::Named(named)
    }

    /// Whether the update writes `field`. `is_populated`: the request's value is not the default.
    pub fn writes(&self, field: &str, is_populated: bool) -> bool {
        match self {
            Self::Populated => is_populated,
            Self::All => true,
            Self::Named(fields) => fields.contains(field),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITABLE: [&str; 2] = ["email", "display_name"];

    fn read(paths: &[&str]) -> (FieldMask, bool) {
        let mut violations = Violations::new();
        let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
        let mask = FieldMask::read(&paths, &WRITABLE, &mut violations);
        (mask, violations.is_empty())
    }

    #[test]
    fn without_a_mask_what_is_populated_is_written() {
        let (mask, is_valid) = read(&[]);
        assert!(is_valid && mask.writes("email", true) && !mask.writes("email", false));
    }

    #[test]
    fn a_star_writes_everything_and_names_write_themselves() {
        let (mask, is_valid) = read(&["*"]);
        assert!(is_valid && mask.writes("email", false));
        let (mask, is_valid) = read(&["email", "email"]);
        assert!(is_valid && mask.writes("email", false) && !mask.writes("display_name", true));
    }

    #[test]
    fn what_an_update_may_not_write_is_refused() {
        for paths in [
            &["user_id"][..],
            &["email", "create_time"],
            &["*", "email"],
            &["Email"],
            &["email.domain"],
            &[""],
        ] {
            assert!(!read(paths).1, "{paths:?}");
        }
    }
}
