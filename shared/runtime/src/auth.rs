//! Who calls, and what they may: access tokens, the keys that verify them, and the rules of a service's methods.
//!
//! A token is verified against keys that the service already has, so no call needs a call to another service. Access is
//! denied by default: a method without a rule is not served. The check stands before the handler, so before validation and
//! before any look at what exists. Whose a resource is only its own query can say: that stays with the handler.

mod guard;
mod keys;
mod layer;
mod signer;
mod token;
mod verifier;

use tonic::{Request, Status};
use uuid::Uuid;

use crate::status;

pub(crate) use guard::has_method;
pub use guard::{Guard, Rules};
pub use keys::{KEY_BYTES, VerificationKey, hear, learn, missing_in_ms};
pub(crate) use layer::AuthLayer;
pub use signer::{AccessToken, InvalidKey, Signer, new_private_key};
pub use token::{LEEWAY, LIFETIME};
pub use verifier::{Refusal, Verifier};

/// The user on whose behalf a call is made, as a verified token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub user_id: Uuid,
    /// What the user may beyond their own.
    pub role: Role,
    /// The session that the token was issued in. `None` in a token of a release that did not name it. Whether the session still
    /// exists only the user service knows.
    pub session_id: Option<Uuid>,
}

impl Caller {
    /// Whether the caller may see and do what belongs to others.
    pub fn is_admin(self) -> bool {
        self.role == Role::Admin
    }

    /// Whose the caller may see and change; `None` where it is everybody's.
    pub fn owner(self) -> Option<Uuid> {
        (!self.is_admin()).then_some(self.user_id)
    }

    /// Whether the caller may name this user in a request. Compared as text, and so before anybody looks at what it says:
    /// what is no id is nobody's, and what is wrong with the rest is no business of who may not.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn may_name(self, user_id: &str) -> Result<(), Status> {
        if self.is_admin() || user_id == self.user_id.to_string() {
            return Ok(());
        }
        tracing::warn!(target: "security", event = "not_the_owner", caller = %self.user_id);
        Err(status::permission_denied())
    }
}

/// What a user may beyond their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    User,
    /// Everything.
    Admin,
}

impl Role {
    /// As tokens and tables have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// The role that [`as_str`](Self::as_str) names.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// Whoever has a valid token.
    Authenticated,
    /// Admins.
    Admin,
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
