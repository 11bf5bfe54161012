//! The etag of a resource: its version, quoted, as HTTP has it. Whoever sends one back changes what they have read, or
//! nothing (AIP-154).

use tonic::Status;

use crate::status;

/// The resource was changed since the caller read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resource was changed since it was read; read it again and repeat the change")]
pub struct EtagMismatch;

/// The etag of the resource's version.
pub fn of(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether `given`, from a request, is that of the resource's version. An empty one is not checked.
///
/// # Errors
/// Where it is another one, also one that never was an etag.
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
