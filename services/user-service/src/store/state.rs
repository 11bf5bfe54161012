//! The current state of users as events, for consumers that no stored event helps.
//!
//! Guarantee: a user with a stored last event is left out, because that event may still be on its way.

use contracts::user::v1::UserUpdated;
use messaging::repair::Stored;
use sea_orm::{DbErr, QueryResult};
use service::{OfState, time};
use store::{Database, sql};

const COLUMNS: &str = "user_id, email, display_name, version, updated_at_ms";

const FORGOTTEN: &str = "
NOT EXISTS (SELECT 1 FROM angarium_outbox AS pending
            WHERE pending.aggregate_type = 'user' AND pending.aggregate_id = users.user_id
              AND pending.aggregate_version = users.version)
AND NOT EXISTS (SELECT 1 FROM angarium_outbox_history AS past
                WHERE past.aggregate_type = 'user' AND past.aggregate_id = users.user_id
                  AND past.aggregate_version = users.version)";

/// In the order of their ids.
pub async fn list(db: &Database, of: OfState<'_>, limit: u16) -> Result<Vec<Stored>, DbErr> {
    let (condition, id) = match of {
        OfState::One(id) => ("user_id = $1".to_owned(), id),
        OfState::After(id) => (format!("user_id > $1 AND {FORGOTTEN}"), id),
    };
    let query = format!("SELECT {COLUMNS} FROM users WHERE {condition} ORDER BY user_id LIMIT $2");
    let rows = sql::query_all(db, &query, [id.into(), i64::from(limit).into()]).await?;
    rows.iter().map(state).collect()
}

fn state(row: &QueryResult) -> Result<Stored, DbErr> {
    let changed_ms: i64 = row.try_get("", "updated_at_ms")?;
    let state = UserUpdated {
        user_id: row.try_get("", "user_id")?,
        email: row.try_get("", "email")?,
        display_name: row.try_get("", "display_name")?,
        update_time: Some(time::timestamp(changed_ms)),
        // No mail is sent about a state.
        previous_email: String::new(),
    };
    let version = row.try_get("", "version")?;
    Ok(Stored::of_state(crate::NAME, &state, version, changed_ms))
}
