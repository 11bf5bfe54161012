//! The body of a call.

use contracts::READABLE_REQUESTS;

/// Reads and validates a request.
pub fn request(bytes: &[u8]) {
    let Some((kind, body)) = crate::chosen(READABLE_REQUESTS, bytes) else {
        return;
    };
    let Ok(reading) = (kind.read)(body) else {
        return;
    };
    for violation in &reading.violations {
        assert!(!violation.field.is_empty(), "{}", kind.type_name);
        assert!(!violation.description.is_empty(), "{}", violation.field);
    }
    // After encoding, it is read the same, with the same violations.
    let again = (kind.read)(&reading.written);
    assert_eq!(again.as_ref(), Ok(&reading), "{}", kind.type_name);
}
