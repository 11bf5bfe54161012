//! Who calls, and what they may: access tokens, the keys that verify them, and the rules of a service's methods.
//!
//! A token is verified against keys that the service already has, so no call needs a call to another service. Access is
//! denied by default: a method without a rule is not served. The check stands before the handler, so before validation and
//! before any look at what exists. Whose a resource is only its own query can say: that stays with the handler.

mod caller;
mod guard;
mod keys;
mod layer;
mod refusal;
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
pub use signer::{AccessToken, InvalidKey, Signer, new_private_key};
pub use token::{LEEWAY, LIFETIME};
pub use verifier::Verifier;

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// Whoever has a valid token.
    Authenticated,
    /// Admins.
    Admin,
    /// Operators.
    Operator,
}

/// Whom `token` stands for where it is signed by the owner of `public_key`: what [`Verifier`] does once it has the key.
///
/// # Errors
/// Where it is not to be believed.
#[doc(hidden)]
pub fn read_token(
    token: &str,
    public_key: &[u8; KEY_BYTES],
    now_ms: i64,
) -> Result<Caller, Refusal> {
    token::Unverified::parse(token)?.verify(public_key, now_ms)
}

/// Who makes this call.
///
/// # Errors
/// `UNAUTHENTICATED` where the method is public, so that nobody has looked at a token.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let known = request.extensions().get::<Caller>().copied();
    known.ok_or_else(status::unauthenticated)
}
