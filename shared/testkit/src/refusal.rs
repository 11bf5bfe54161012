//! The error details of an answer.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The reason in the answer's `google.rpc.ErrorInfo`.
///
/// # Panics
/// If it has none, or one of another domain: each of our errors has one.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, runtime::status::DOMAIN, "{status:?}");
    info.reason.clone()
}

/// The field paths of an `INVALID_ARGUMENT`, in order.
///
/// # Panics
/// If the answer is another one.
pub fn violated_fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let request = details
        .bad_request()
        .unwrap_or_else(|| panic!("no BadRequest in {status:?}"));
    let violations = request.field_violations.iter();
    violations
        .map(|violation| violation.field.clone())
        .collect()
}
