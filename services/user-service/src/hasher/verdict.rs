//! What became of an attempt at a password.

use crate::password::PasswordHash;

/// What became of an attempt.
#[derive(Debug)]
pub enum Verdict {
    Wrong,
    Right {
        /// The same password as it would be hashed today, where the hash has other costs.
        rehashed: Option<PasswordHash>,
    },
}

/// Why there is no hash.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("too many passwords wait to be hashed")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl HashError {
    /// What was to be done ended without an answer.
    pub fn broken(cause: tokio::task::JoinError) -> Self {
        Self::Failed(cause.into())
    }
}

pub(super) fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HashError {
    HashError::Failed(cause.into())
}
