//! Sample accounts.

use contracts::user::v1::CreateUserRequest;
use uuid::Uuid;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Becomes an admin after the address is verified.
pub(crate) const ADMIN: &str = "Root@Example.com";

pub(crate) fn ada() -> CreateUserRequest {
    CreateUserRequest {
        email: "ada@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        display_name: "Ada Lovelace".to_owned(),
        ..CreateUserRequest::default()
    }
}

pub(crate) fn bob() -> CreateUserRequest {
    CreateUserRequest {
        email: "bob@example.com".to_owned(),
        ..ada()
    }
}

pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}
