//! Parses the user id of an event.

use messaging::HandlerError;
use uuid::Uuid;

pub(super) fn user_id(text: &str) -> Result<Uuid, HandlerError> {
    Uuid::parse_str(text)
        .map_err(|error| HandlerError::reject(format!("user_id is not a UUID: {error}")))
}
