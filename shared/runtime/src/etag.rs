//! The etag of a resource: its version in quotes, as in HTTP. A change with an etag fails unless the resource has that
//! version (AIP-154).

use tonic::Status;

use crate::status;

/// The resource changed after the caller read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource was changed since it was read; read it again and repeat the change")]
pub struct EtagMismatch;

/// The etag of a version.
pub fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// Checks `given`, from a request, against the resource's version. An empty one is not checked.
///
/// # Errors
/// If it differs, also if it never was an etag.
pub fn check(given: &str, version: i64) -> Result<(), EtagMismatch> {
    if given.is_empty() || given == of(version) {
        return Ok(());
    }
    Err(EtagMismatch)
}

impl From<EtagMismatch> for Status {
    fn from(mismatch: EtagMismatch) -> Self {
        status::aborted("ETAG_MISMATCH", mismatch.to_string())
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn only_the_etag_of_the_version_or_none_is_taken() {
        assert_eq!(of(3), "\"3\"");
        for taken in ["", "\"3\""] {
            assert_eq!(check(taken, 3), Ok(()), "{taken}");
        }
        for refused in ["3", "\"2\"", "\"03\"", "*", "W/\"3\""] {
            assert_eq!(check(refused, 3), Err(EtagMismatch), "{refused}");
        }
        assert_eq!(Status::from(EtagMismatch).code(), Code::Aborted);
    }
}
