//! Errors with their own exit code, for failures that a restart does not fix.
//!
//! 2: a command has ended, and its answer names what is left to do. 64: a setting is wrong. 78: an operator must fix
//! something outside this process first, such as a schema or a certificate. Any other failure may be over at the next
//! start.

use std::error::Error;
use std::io;

use store::DatabaseError;

use crate::grpc::TlsError;
use crate::telemetry::TelemetryError;

const INCOMPLETE: u8 = 2;
/// `EX_CONFIG` of sysexits.h.
const EX_CONFIG: u8 = 78;
/// `EX_USAGE` of sysexits.h.
pub(crate) const EX_USAGE: u8 = 64;

/// An error with an exit code, anywhere in the chain of the error that ends the process.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ExitWith {
    code: u8,
    // Not its source: its text would be printed twice.
    cause: Box<dyn Error + Send + Sync>,
}

impl ExitWith {
    /// Exit code 78: an operator must fix something outside this process first.
    pub fn misconfigured(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: EX_CONFIG,
            cause: cause.into(),
        }
    }

    /// Exit code 2: an operator has to do the rest.
    pub fn incomplete(left: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: INCOMPLETE,
            cause: left.into(),
        }
    }

    pub(crate) fn code_of(error: &anyhow::Error) -> Option<u8> {
        error.chain().find_map(|cause| {
            let exit = cause.downcast_ref::<Self>().map(|exit| exit.code);
            exit.or_else(|| of_cause(cause))
        })
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<u8> {
    if let Some(error) = cause.downcast_ref::<DatabaseError>() {
        return error.is_misconfiguration().then_some(EX_CONFIG);
    }
    if cause.is::<TelemetryError>() {
        return Some(EX_USAGE);
    }
    if cause.is::<TlsError>() {
        return Some(EX_CONFIG);
    }
    let error = cause.downcast_ref::<io::Error>()?;
    is_for_an_operator(error.kind()).then_some(EX_CONFIG)
}

/// A missing file, a full disk and a taken port may be over by the next start.
fn is_for_an_operator(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::InvalidFilename
    )
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn context_does_not_hide_the_code() {
        let ended: Result<(), _> = Err(ExitWith::misconfigured("a queue is missing"));
        let error = ended.context("the service cannot start").unwrap_err();
        assert_eq!(ExitWith::code_of(&error.context("all of it")), Some(78));
        assert_eq!(ExitWith::code_of(&anyhow!("anything else")), None);
        let left: anyhow::Error = ExitWith::incomplete("an event is gone").into();
        assert_eq!(ExitWith::code_of(&left.context("the command")), Some(2));
    }

    #[test]
    fn a_schema_of_a_newer_release_has_the_code() {
        let too_new = DatabaseError::SchemaTooNew("it needs m2".to_owned());
        let error = anyhow::Error::from(too_new).context("the service cannot start");
        assert_eq!(ExitWith::code_of(&error), Some(78));
        let failed = DatabaseError::Migration(sea_orm::DbErr::Custom("x".to_owned()));
        assert_eq!(ExitWith::code_of(&failed.into()), None);
    }

    #[test]
    fn a_file_of_another_user_has_the_code_and_a_full_disk_has_not() {
        let of = |kind: io::ErrorKind| {
            let error = anyhow::Error::from(io::Error::from(kind));
            ExitWith::code_of(&error.context("the folder cannot be made"))
        };
        assert_eq!(of(io::ErrorKind::PermissionDenied), Some(78));
        assert_eq!(of(io::ErrorKind::NotADirectory), Some(78));
        assert_eq!(of(io::ErrorKind::StorageFull), None);
        assert_eq!(of(io::ErrorKind::AddrInUse), None);
    }

    #[test]
    fn the_cause_is_told_once() {
        let error = anyhow::Error::from(ExitWith::misconfigured("a queue is missing"));
        assert_eq!(format!("{error:#}"), "a queue is missing");
    }
}
