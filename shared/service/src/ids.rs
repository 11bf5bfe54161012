//! Ids in events and rows.

use messaging::HandlerError;
use sea_orm::DbErr;
use uuid::Uuid;

/// The id in the field of an event.
///
/// # Errors
/// *Reject* if it is not a UUID: a retry would fail, too.
pub fn event_id(field: &str, text: &str) -> Result<Uuid, HandlerError> {
    Uuid::parse_str(text)
        .map_err(|error| HandlerError::reject(format!("{field} is not a UUID: {error}")))
}

/// The id in a row.
///
/// # Errors
/// If it is not a UUID.
pub fn stored_id(text: &str) -> Result<Uuid, DbErr> {
    Uuid::parse_str(text).map_err(|_| unreadable("an id"))
}

/// `column` has a value that this release never writes.
pub fn unreadable(column: &str) -> DbErr {
    DbErr::Type(format!(
        "{column} has a value that this release never writes"
    ))
}
