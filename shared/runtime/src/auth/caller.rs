//! The caller of a method, and their rights.

use tonic::Status;
use uuid::Uuid;

use crate::status;

/// The user of a verified token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's id.
    pub user_id: Uuid,
    /// The user's rights.
    pub role: Role,
    /// The session of the token. `None` in a token of an older release. Only the user service knows whether it still
    /// exists.
    pub session_id: Option<Uuid>,
    /// Whether the user's address was verified when the token was issued. `None` in a token of an older release.
    pub email_verified: Option<bool>,
}

impl Caller {
    /// Whether the address is not verified. A token of an older release counts as verified.
    pub fn is_unverified(self) -> bool {
        self.email_verified == Some(false)
    }

    /// Whether the caller may access other users' data.
    pub fn is_admin(self) -> bool {
        self.role == Role::Admin
    }

    /// The only owner whose data the caller may access; `None` for all owners.
    pub fn owner(self) -> Option<Uuid> {
        (!self.is_admin()).then_some(self.user_id)
    }

    /// Checks that the caller may name this user in a request. Compares text, before validation: a caller without the
    /// right learns no other violation.
    pub fn may_name(self, user_id: &str) -> Result<(), Status> {
        if self.is_admin() || user_id == self.user_id.to_string() {
            return Ok(());
        }
        tracing::warn!(target: "security", event = "not_the_owner", caller = %self.user_id);
        Err(status::permission_denied())
    }
}

/// The rights of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Only their own data.
    User,
    /// All data, but not what operators do.
    Admin,
    /// Keeps the services going: nothing that belongs to others, but all stored events.
    Operator,
}

impl Role {
    /// The name in tokens and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }

    /// The role with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            "operator" => Some(Self::Operator),
            _ => None,
        }
    }
}
