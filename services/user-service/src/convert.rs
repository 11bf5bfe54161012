//! Between the domain and the contract, for answers and events alike.

use contracts::user::v1::{Tokens as TokensMessage, User as UserMessage, UserRole};
use runtime::auth::Role;
use runtime::etag;
use secrecy::ExposeSecret as _;
use service::time::timestamp;

use crate::commands::Tokens;
use crate::user::User;

pub fn user(user: &User, role: Role) -> UserMessage {
    UserMessage {
        user_id: user.id.to_string(),
        email: user.email.as_given().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        create_time: Some(timestamp(user.created_at_ms)),
        update_time: Some(timestamp(user.updated_at_ms)),
        email_verified: user.email_verified,
        role: match role {
            Role::User => UserRole::User,
            Role::Admin => UserRole::Admin,
        }
        .into(),
        etag: etag::of(user.version),
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
