//! Why a token is not believed.

/// Why a token is refused. For the log: a caller learns only whether to get a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No header, more than one, or another scheme.
    #[error("no bearer token")]
    Missing,
    /// It is not in the form of our tokens.
    #[error("malformed token")]
    Malformed,
    /// It wants to be verified by another algorithm, or by none.
    #[error("wrong algorithm")]
    Algorithm,
    /// Its key is not known here, or has expired.
    #[error("unknown key")]
    UnknownKey,
    /// Its key is not known here, but may be one that this service has not received yet.
    #[error("a key that was not announced here yet")]
    KeyNotHeardOf,
    /// Its key is not in memory, and where it would be found cannot be read.
    #[error("keys cannot be read")]
    Unavailable,
    /// Its key has not signed it.
    #[error("wrong signature")]
    Signature,
    /// It is of another issuer, or for another audience.
    #[error("wrong issuer or audience")]
    Foreign,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYetValid,
    /// Its time is over.
    #[error("expired token")]
    Expired,
}
