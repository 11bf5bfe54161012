//! An existing item with other settings than we declare: read from the broker's refusal (406), and logged once.
//!
//! RabbitMQ names the first argument that differs. Another text is shown unchanged.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    /// Such as `x-delivery-limit`.
    pub(super) argument: Option<&'a str>,
    pub(super) declared: Option<&'a str>,
    pub(super) existing: Option<&'a str>,
}

/// `inequivalent arg 'x-delivery-limit' for queue 'q' in vhost '/': received '7' but current is '20'`. Other forms:
/// `received none` and `the value '7' of type 'signedint'`.
pub(super) fn read(text: &str) -> Difference<'_> {
    let Some((_, text)) = text.split_once("inequivalent arg '") else {
        return Difference::default();
    };
    let Some((argument, text)) = text.split_once('\'') else {
        return Difference::default();
    };
    let values = text
        .split_once(": received ")
        .and_then(|(_, values)| values.split_once(" but current is "));
    Difference {
        argument: Some(argument),
        declared: values.map(|(declared, _)| value(declared)),
        existing: values.map(|(_, existing)| value(existing)),
    }
}

fn value(text: &str) -> &str {
    match text.split_once('\'') {
        Some((_, quoted)) => quoted.split('\'').next().unwrap_or(quoted),
        None => text.split(' ').next().unwrap_or(text),
    }
}

#[derive(Default)]
pub(super) struct Logged(Mutex<BTreeSet<String>>);

impl Logged {
    pub(super) fn warn(&self, what: &str, refusal: &str) {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !logged.insert(format!("{what}: {refusal}")) {
            return;
        }
        let Difference {
            argument,
            declared,
            existing,
        } = read(refusal);
        tracing::warn!(
            what,
            argument,
            declared,
            existing,
            refusal,
            "the broker has this with other settings; the service uses it as it is. What to do: see *A queue with other settings* in \
             docs/operations.md"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusals_of_rabbitmq_are_taken_apart() {
        let difference = |argument, declared, existing| Difference {
            argument: Some(argument),
            declared: Some(declared),
            existing: Some(existing),
        };
        let limit = "inequivalent arg 'x-delivery-limit' for queue 'things' in vhost '/': ";
        for (text, expected) in [
            (
                format!("PRECONDITION_FAILED - {limit}received '7' but current is '20'"),
                difference("x-delivery-limit", "7", "20"),
            ),
            (
                format!("{limit}received none but current is the value '20' of type 'signedint'"),
                difference("x-delivery-limit", "none", "20"),
            ),
            (
                format!("{limit}received the value '7' of type 'long' but current is none"),
                difference("x-delivery-limit", "7", "none"),
            ),
            (
                "inequivalent arg 'durable' for exchange 'e' in vhost '/'".to_owned(),
                Difference {
                    argument: Some("durable"),
                    ..Difference::default()
                },
            ),
            ("something else".to_owned(), Difference::default()),
        ] {
            assert_eq!(read(&text), expected, "{text}");
        }
    }
}
