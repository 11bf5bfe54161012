//! Converts between domain and contract, for answers and events.

use contracts::user::v1::{
    Session as SessionMessage, Tokens as TokensMessage, User as UserMessage, UserRole,
};
use runtime::auth::Role;
use runtime::etag;
use secrecy::ExposeSecret as _;
use service::time::timestamp;
use uuid::Uuid;

use crate::commands::Tokens;
use crate::store::sessions::Session;
use crate::user::User;

pub fn user(user: &User, role: Role) -> UserMessage {
    UserMessage {
        user_id: user.id.to_string(),
        email: user.email.as_given().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        create_time: Some(timestamp(user.created_at_ms)),
        update_time: Some(timestamp(user.updated_at_ms)),
        email_verified: user.email_verified,
        role: self::role(role).into(),
        etag: etag::of(user.version),
    }
}

pub fn role(role: Role) -> UserRole {
    match role {
        Role::User => UserRole::User,
        Role::Admin => UserRole::Admin,
        Role::Operator => UserRole::Operator,
    }
}

pub fn session(session: Session, current: Option<Uuid>) -> SessionMessage {
    SessionMessage {
        session_id: session.id.to_string(),
        create_time: session.created_at_ms.map(timestamp),
        last_use_time: session.last_used_at_ms.map(timestamp),
        expire_time: Some(timestamp(session.expires_at_ms)),
        client_address: session.client_address.unwrap_or_default(),
        is_current: Some(session.id) == current,
    }
}

pub fn tokens(tokens: &Tokens) -> TokensMessage {
    TokensMessage {
        access_token: tokens.access.token.clone(),
        access_token_expire_time: Some(timestamp(tokens.access.expires_at_ms)),
        refresh_token: tokens.refresh.expose_secret().to_owned(),
        refresh_token_expire_time: Some(timestamp(tokens.refresh_expires_at_ms)),
    }
}
