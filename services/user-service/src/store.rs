//! The table `users`, and the queries on it.
//!
//! Plain functions over a connection or a transaction, so that what is committed together is visible where it is committed.

use runtime::database::unique_violation;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _};
use uuid::Uuid;

use crate::password::PasswordHash;
use crate::user::{DisplayName, Email, User};

pub mod sensitive;
pub mod users;

/// What PostgreSQL (the constraint) and SQLite (the column) call the rule that no two users share an address.
const EMAIL_KEY: [&str; 2] = ["users_email_key", "users.email_key"];

/// Why a user could not be inserted.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    #[error("another user has this e-mail address")]
    EmailTaken,
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Inserts the user. Whether the address is free only the index can say: who asks before is overtaken.
pub async fn insert_user(
    db: &impl ConnectionTrait,
    user: &User,
    password_hash: &PasswordHash,
) -> Result<(), InsertError> {
    let row = users::row(user, password_hash).into_active_model();
    let inserted = users::Entity::insert(row).exec_without_returning(db).await;
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if is_email_taken(&error) => Err(InsertError::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

pub async fn find_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<User>, DbErr> {
    let row = users::Entity::find_by_id(id.to_string()).one(db).await?;
    row.map(user).transpose()
}

fn is_email_taken(error: &DbErr) -> bool {
    unique_violation(error).is_some_and(|taken| EMAIL_KEY.contains(&taken.as_str()))
}

fn user(row: users::Model) -> Result<User, DbErr> {
    let id = Uuid::parse_str(&row.user_id).map_err(|_| unreadable("users.user_id"))?;
    Ok(User {
        id,
        email: Email::stored(row.email.0, row.email_key.0),
        display_name: DisplayName::stored(row.display_name.0),
        version: row.version,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    })
}

fn unreadable(column: &str) -> DbErr {
    DbErr::Type(format!("{column} holds what this release never writes"))
}
