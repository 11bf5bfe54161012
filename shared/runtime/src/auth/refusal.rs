//! Why a token is refused.

/// For the log: a caller learns only whether a new token helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No header, more than one, or another scheme.
    #[error("no bearer token")]
    Missing,
    /// Not in the form of our tokens.
    #[error("malformed token")]
    Malformed,
    /// Another algorithm, or none.
    #[error("wrong algorithm")]
    Algorithm,
    /// An unknown or expired key.
    #[error("unknown key")]
    UnknownKey,
    /// An unknown key, which may be one that this service has not received yet.
    #[error("a key that was not announced yet")]
    KeyNotHeardOf,
    /// The key is not in memory, and the table cannot be read.
    #[error("keys cannot be read")]
    Unavailable,
    /// Not signed by its key.
    #[error("wrong signature")]
    Signature,
    /// Another issuer or audience.
    #[error("wrong issuer or audience")]
    Foreign,
    /// Not valid yet.
    #[error("not yet valid")]
    NotYetValid,
    /// Not valid any more.
    #[error("expired token")]
    Expired,
}
