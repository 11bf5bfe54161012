//! The result of a password check.

use crate::password::PasswordHash;

#[derive(Debug)]
pub enum Verdict {
    Wrong,
    Right {
        /// With today's costs, if the stored hash has others.
        rehashed: Option<PasswordHash>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("too many passwords wait to be hashed")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl HashError {
    /// The task ended without a result.
    pub fn broken(cause: tokio::task::JoinError) -> Self {
        Self::Failed(cause.into())
    }
}

pub(super) fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HashError {
    HashError::Failed(cause.into())
}
