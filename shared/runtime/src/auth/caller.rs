//! The caller of a method, and what they may.

use tonic::Status;
use uuid::Uuid;

use crate::status;

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
