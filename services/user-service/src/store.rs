//! The table `users` and its queries. Plain functions over a connection or a transaction: a command shows what it
//! commits together.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};
use service::stored_id;
use store::unique_violation;
use uuid::Uuid;

use crate::password::PasswordHash;
use crate::store::sensitive::Sensitive;
use crate::user::{DisplayName, Email, User};

pub mod announced_roles;
pub mod attempts;
pub mod buckets;
pub mod codes;
pub mod known_places;
pub mod sensitive;
pub mod sessions;
pub mod signing_keys;
pub mod state;
pub mod users;

/// The unique constraint of addresses, as PostgreSQL (constraint) and SQLite (column) name it in errors.
const EMAIL_KEY: [&str; 2] = ["users_email_key", "users.email_key"];

#[derive(Debug)]
pub struct Credentials {
    pub user: User,
    pub password_hash: PasswordHash,
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("another user has this e-mail address")]
    EmailTaken,
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Only the index can decide whether the address is free: an earlier query could be outdated.
pub async fn insert_user(
    db: &impl ConnectionTrait,
    user: &User,
    password_hash: &PasswordHash,
) -> Result<(), WriteError> {
    let row = users::row(user, password_hash).into_active_model();
    let inserted = users::Entity::insert(row).exec_without_returning(db).await;
    inserted.map(|_| ()).map_err(unwritten)
}

/// All changeable columns except the password.
pub async fn update_user(db: &impl ConnectionTrait, user: &User) -> Result<(), WriteError> {
    let changed = users::ActiveModel {
        user_id: Set(user.id.to_string()),
        email: Set(Sensitive(user.email.as_given().to_owned())),
        email_key: Set(Sensitive(user.email.key().to_owned())),
        email_verified: Set(user.email_verified),
        display_name: Set(Sensitive(user.display_name.as_str().to_owned())),
        version: Set(user.version),
        updated_at_ms: Set(user.updated_at_ms),
        ..Default::default()
    };
    changed.update(db).await.map(|_| ()).map_err(unwritten)
}

pub async fn write_password(
    db: &impl ConnectionTrait,
    id: Uuid,
    hash: &PasswordHash,
) -> Result<(), DbErr> {
    let changed = users::ActiveModel {
        user_id: Set(id.to_string()),
        password_hash: Set(Sensitive(hash.expose().to_owned())),
        ..Default::default()
    };
    changed.update(db).await?;
    Ok(())
}

pub async fn delete_user(db: &impl ConnectionTrait, id: Uuid) -> Result<(), DbErr> {
    users::Entity::delete_by_id(id.to_string()).exec(db).await?;
    Ok(())
}

pub async fn find_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<User>, DbErr> {
    let row = users::Entity::find_by_id(id.to_string()).one(db).await?;
    row.map(user).transpose()
}

pub async fn find_credentials(
    db: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Credentials>, DbErr> {
    let row = users::Entity::find_by_id(id.to_string()).one(db).await?;
    row.map(credentials).transpose()
}

pub async fn find_by_email(
    db: &impl ConnectionTrait,
    key: &str,
) -> Result<Option<Credentials>, DbErr> {
    let found = users::Entity::find().filter(users::Column::EmailKey.eq(key));
    found.one(db).await?.map(credentials).transpose()
}

/// Two concurrent changes would take the same version.
pub async fn lock_user(db: &impl ConnectionTrait, id: Uuid) -> Result<Option<Credentials>, DbErr> {
    let found = users::Entity::find_by_id(id.to_string()).lock_exclusive();
    found.one(db).await?.map(credentials).transpose()
}

/// Newest first: `limit` of those before `before`. Ids are UUIDv7, so this is the order of registration.
pub async fn list_users(
    db: &impl ConnectionTrait,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<User>, DbErr> {
    let mut listed = users::Entity::find();
    if let Some(before) = before {
        listed = listed.filter(users::Column::UserId.lt(before.to_string()));
    }
    let listed = listed.order_by_desc(users::Column::UserId).limit(limit);
    listed.all(db).await?.into_iter().map(user).collect()
}

fn unwritten(error: DbErr) -> WriteError {
    if is_email_taken(&error) {
        WriteError::EmailTaken
    } else {
        error.into()
    }
}

fn credentials(row: users::Model) -> Result<Credentials, DbErr> {
    let password_hash = PasswordHash::stored(row.password_hash.0.clone());
    Ok(Credentials {
        user: user(row)?,
        password_hash,
    })
}

fn is_email_taken(error: &DbErr) -> bool {
    unique_violation(error).is_some_and(|taken| EMAIL_KEY.contains(&taken.as_str()))
}

fn user(row: users::Model) -> Result<User, DbErr> {
    Ok(User {
        id: stored_id(&row.user_id)?,
        email: Email::stored(row.email.0, row.email_key.0),
        email_verified: row.email_verified,
        display_name: DisplayName::stored(row.display_name.0),
        version: row.version,
        created_at_ms: row.created_at_ms,
        updated_at_ms: row.updated_at_ms,
    })
}
