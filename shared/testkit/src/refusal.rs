//! What an answer that says no tells a program: the details that clients decide by.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The reason in the answer's `google.rpc.ErrorInfo`.
///
/// # Panics
/// Where it has none, or one of another domain: every error of ours carries it.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details
        .error_info()
        .unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, runtime::status::DOMAIN, "{status:?}");
    info.reason.clone()
}

/// The paths of the fields that an `INVALID_ARGUMENT` names, in its order.
///
/// # Panics
/// Where the answer is another one.
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
