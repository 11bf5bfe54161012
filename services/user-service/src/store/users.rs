//! One row per user.

use sea_orm::entity::prelude::*;

use super::sensitive::Sensitive;
use crate::password::PasswordHash;
use crate::user::User;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: String,
    /// As given.
    pub email: Sensitive,
    /// The unique form: see [`Email`](crate::user::Email).
    pub email_key: Sensitive,
    pub email_verified: bool,
    pub display_name: Sensitive,
    /// In PHC form, with its own salt and costs.
    pub password_hash: Sensitive,
    /// Of the user's last event.
    pub version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub(super) fn row(user: &User, password_hash: &PasswordHash) -> Model {
    Model {
        user_id: user.id.to_string(),
        email: Sensitive(user.email.as_given().to_owned()),
        email_key: Sensitive(user.email.key().to_owned()),
        email_verified: user.email_verified,
        display_name: Sensitive(user.display_name.as_str().to_owned()),
        password_hash: Sensitive(password_hash.expose().to_owned()),
        version: user.version,
        created_at_ms: user.created_at_ms,
        updated_at_ms: user.updated_at_ms,
    }
}
