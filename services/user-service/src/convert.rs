//! Between the domain and the contract, for answers and events alike.

use contracts::user::v1::User as UserMessage;
use prost_types::Timestamp;

use crate::user::User;

pub fn user(user: &User) -> UserMessage {
    UserMessage {
        user_id: user.id.to_string(),
        email: user.email.as_given().to_owned(),
        display_name: user.display_name.as_str().to_owned(),
        create_time: Some(timestamp(user.created_at_ms)),
        update_time: Some(timestamp(user.updated_at_ms)),
    }
}

pub fn timestamp(unix_ms: i64) -> Timestamp {
    let nanos = unix_ms.rem_euclid(1000) * 1_000_000;
    Timestamp {
        seconds: unix_ms.div_euclid(1000),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}
