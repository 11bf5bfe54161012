//! The caller of a method, and what they may.

use tonic::Status;
use uuid::Uuid;

use crate::status;

/// The user for whom a call is made, as a verified token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub user_id: Uuid,
    /// What the user may beyond their own.
    pub role: Role,
    /// The session that the token was issued in. `None` in a token of a release that did not name it. Whether the session still
    /// exists only the user service knows.
    pub session_id: Option<Uuid>,
    /// Whether the user had shown, when the token was issued, that the address is their own. `None` in a token of a release that did
    /// not say it.
    pub email_verified: Option<bool>,
}

impl Caller {
    /// Whether the caller's address is not known to be verified. During a rollout, tokens of the older release count as verified.
    pub fn is_unverified(self) -> bool {
        self.email_verified == Some(false)
    }

    /// Whether the caller may see and do what belongs to others.
    pub fn is_admin(self) -> bool {
        self.role == Role::Admin
    }

    /// The only owner of what the caller may see and change; `None` for all owners.
    pub fn owner(self) -> Option<Uuid> {
        (!self.is_admin()).then_some(self.user_id)
    }

    /// Whether the caller may name this user in a request. Compared as text, before the request is validated: a caller without the
    /// right learns nothing about what else is wrong with it.
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
