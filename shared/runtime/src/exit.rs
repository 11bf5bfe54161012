//! Errors with their own exit code, for failures that a restart does not fix.

use std::error::Error;

use store::DatabaseError;

/// `EX_CONFIG` of sysexits.h: an operator must fix something outside this process first.
const EX_CONFIG: u8 = 78;

/// An error with an exit code. It may be anywhere in the chain of the error that ends the process.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ExitWith {
    code: u8,
    // Not its source, because then its text would be printed twice.
    cause: Box<dyn Error + Send + Sync>,
}

impl ExitWith {
    /// Exit code 78: the environment of this process does not fit.
    pub fn misconfigured(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: EX_CONFIG,
            cause: cause.into(),
        }
    }

    /// The exit code of `error`, with any context.
    pub(crate) fn code_of(error: &anyhow::Error) -> Option<u8> {
        error.chain().find_map(|cause| {
            let exit = cause.downcast_ref::<Self>().map(|exit| exit.code);
            exit.or_else(|| of_database(cause))
        })
    }
}

/// A database that an operator must set up differently.
fn of_database(cause: &(dyn Error + 'static)) -> Option<u8> {
    let error = cause.downcast_ref::<DatabaseError>()?;
    error.is_misconfiguration().then_some(EX_CONFIG)
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
    fn the_cause_is_printed_once() {
        let error = anyhow::Error::from(ExitWith::misconfigured("a queue is missing"));
        assert_eq!(format!("{error:#}"), "a queue is missing");
    }
}
