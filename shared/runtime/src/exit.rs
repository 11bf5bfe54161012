//! An end with an exit code of its own, for what a supervisor should not answer by starting the same thing again.

use std::error::Error;

use store::DatabaseError;

/// `EX_CONFIG` of sysexits.h: something outside of this process has to be put right first.
const EX_CONFIG: u8 = 78;

/// Anywhere in the chain of the error that ends a process, it decides the exit code.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct ExitWith {
    code: u8,
    // Not its source: its text is this one's, and would be told twice.
    cause: Box<dyn Error + Send + Sync>,
}

impl ExitWith {
    /// 78: what this process was pointed at is not as it needs it.
    pub fn misconfigured(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code: EX_CONFIG,
            cause: cause.into(),
        }
    }

    /// The code that `error` asks for, whatever context was added to it.
    pub(crate) fn code_of(error: &anyhow::Error) -> Option<u8> {
        error.chain().find_map(|cause| {
            let exit = cause.downcast_ref::<Self>().map(|exit| exit.code);
            exit.or_else(|| of_database(cause))
        })
    }
}

/// A database that an operator has to set up differently first.
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
