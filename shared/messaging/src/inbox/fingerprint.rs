//! The fingerprint of a failure: equal for one type and cause, so that an operator sees kinds of failures, not
//! thousands of rows.

use uuid::Uuid;

use super::state::NotDone;

pub(super) fn of(state: NotDone, event_type: Option<&str>, cause: Option<&str>) -> Option<String> {
    if state != NotDone::Dead {
        return None;
    }
    let text = format!(
        "{}\n{}",
        event_type.unwrap_or_default(),
        kind(cause.unwrap_or_default())
    );
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple();
    Some(hash.to_string().chars().take(12).collect())
}

/// Words with digits are left out: ids, amounts and times differ between equal failures.
fn kind(cause: &str) -> String {
    let words = cause.split(|character: char| !(character.is_alphanumeric() || character == '-'));
    let words = words.filter(|word| !word.contains(|character: char| character.is_ascii_digit()));
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(event_type: &str, cause: &str) -> Option<String> {
        of(NotDone::Dead, Some(event_type), Some(cause))
    }

    #[test]
    fn alike_failures_of_one_type_have_one_fingerprint() {
        let one =
            "no stock for 3 of TEA-1: order 0192f3c4-0000-7000-8000-000000000001 (after 10ms)";
        let other =
            "no stock for 12 of TEA-2: order 0192f3c4-0000-7000-8000-00000000000f (after 7ms)";
        assert_eq!(
            fingerprint("OrderPlaced", one),
            fingerprint("OrderPlaced", other)
        );
        assert_ne!(
            fingerprint("OrderPlaced", one),
            fingerprint("OrderShipped", one)
        );
        assert_ne!(
            fingerprint("OrderPlaced", one),
            fingerprint("OrderPlaced", "no such user")
        );
    }

    #[test]
    fn an_event_that_is_not_given_up_has_none() {
        assert_eq!(
            of(NotDone::Deferred, Some("OrderPlaced"), Some("away")),
            None
        );
        assert!(fingerprint("", "").is_some_and(|text| text.len() == 12));
    }
}
