//! Authentication and access: tokens, the keys that verify them, and the rules of a service's methods.
//!
//! A service verifies a token with keys that it already has. Access is denied by default: a method without a rule is
//! not served. The check comes before validation and before any query. Ownership of a resource is checked by the
//! handler's query.

mod caller;
mod guard;
mod keys;
mod layer;
mod refusal;
mod signatures;
mod signer;
mod token;
mod verifier;

use tonic::{Request, Status};

use crate::status;

pub use caller::{Caller, Role};
pub(crate) use guard::has_method;
pub use guard::{Guard, Rules};
pub use keys::{KEY_BYTES, VerificationKey, hear, learn, missing_in_ms};
pub(crate) use layer::AuthLayer;
pub use refusal::Refusal;
#[doc(hidden)]
pub use signatures::Signatures;
pub use signer::{AccessToken, InvalidKey, Signer, new_private_key};
pub use token::{LEEWAY, LIFETIME};
pub use verifier::Verifier;

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone, without a token.
    Public,
    /// Callers with a valid token.
    Authenticated,
    /// Admins.
    Admin,
    /// Operators.
    Operator,
}

/// The caller of `token`, if `public_key` signed it.
#[doc(hidden)]
pub fn read_token(
    token: &str,
    public_key: &[u8; KEY_BYTES],
    now_ms: i64,
) -> Result<Caller, Refusal> {
    token::Unverified::parse(token)?.verify(None, public_key, now_ms)
}

/// As [`read_token`], with the signatures that were verified before.
///
/// # Errors
/// As [`read_token`].
#[doc(hidden)]
pub fn read_token_with(
    signatures: &Signatures,
    token: &str,
    public_key: &[u8; KEY_BYTES],
    now_ms: i64,
) -> Result<Caller, Refusal> {
    token::Unverified::parse(token)?.verify(Some(signatures), public_key, now_ms)
}

/// The caller of this request.
///
/// # Errors
/// `UNAUTHENTICATED` if the method is public, because then no token was checked.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let known = request.extensions().get::<Caller>().copied();
    known.ok_or_else(status::unauthenticated)
}
