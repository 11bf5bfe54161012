//! The size of a page, and the status of a failed statement, for all methods of operators.

use runtime::status;
use sea_orm::DbErr;
use tonic::Status;

/// So many of the largest fit into a response.
pub(super) const EVENTS: u16 = 50;

/// `asked` is the caller's wish; 0 or less means `default`.
pub(super) fn size(asked: i32, default: u16, most: u16) -> u16 {
    match u16::try_from(asked) {
        Ok(0) | Err(_) if asked <= 0 => default,
        Ok(asked) => asked.min(most),
        Err(_) => most,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn database(error: DbErr) -> Status {
    status::database(&error)
}
