//! Held events that are due: leased, and then settled or held again.
//!
//! Guarantee: an attempt is recorded before it starts. If it kills its process, the record remains, so the event is
//! detected and finally becomes a dead letter.

use std::time::Duration;

use event::Message;
use sea_orm::Value;
use serde_json::json;
use store::sql;

use crate::bounds::{Bound, TimeForm};

mod settling;
mod taking;

pub(crate) use settling::{await_type, fail, leave, mark_late, park, pass_over, settle_all};
#[cfg(test)]
pub(super) use taking::{SUSPECT, taking_up};
pub(crate) use taking::{adopt, give_back, has_suspect, keep, take_up};

#[derive(Clone)]
pub(crate) struct RetryLease {
    pub(crate) consumer: String,
    pub(crate) event_id: String,
    /// By the database's clock. In the row it identifies the holder.
    lease_ends_ms: i64,
    /// By the database's clock.
    pub(crate) now_ms: i64,
    pub(crate) attempts: u32,
    pub(crate) never_ended: u32,
    pub(crate) cause: Option<String>,
    pub(crate) failing_for_ms: i64,
    /// Since its arrival.
    pub(crate) here_for_ms: i64,
    pub(crate) replayed: bool,
    /// It had not arrived and was handed over: it is handled even after its turn.
    pub(crate) repaired: bool,
    pub(crate) discarded: bool,
    /// `None` if it does not wait for its type.
    pub(crate) unknown_left_ms: Option<i64>,
    pub(crate) message: Message,
}

/// The query for the time until a held event is due. An event that waits for its type is due now if this process knows
/// the type.
pub(crate) fn due_in_ms(consumer: &str, known: &[&str]) -> String {
    let adoptable = adoptable(consumer, known);
    format!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM angarium_inbox {adoptable}) THEN 0
                     ELSE (SELECT {{ms min(due_at)}} - {{now}} FROM angarium_inbox
                           WHERE consumer = {} AND due_at IS NOT NULL) END",
        sql::text(consumer)
    )
}

pub(super) fn adoptable(consumer: &str, known: &[&str]) -> String {
    let types: Vec<String> = known.iter().map(|name| sql::text(name)).collect();
    format!(
        "WHERE consumer = {} AND unknown_until IS NOT NULL AND event_type IN ({}) AND state IN ('waiting', 'deferred')",
        sql::text(consumer),
        types.join(", ")
    )
}

/// The end of a lease, the next attempt, or the end of a wait.
pub(crate) fn bound(consumer: &str, longest: Duration, lease: Duration) -> Bound {
    bound_of("due_at", consumer, longest, lease)
}

pub(crate) fn bound_of_unknown(consumer: &str, longest: Duration) -> Bound {
    bound_of("unknown_until", consumer, longest, longest)
}

fn bound_of(column: &'static str, consumer: &str, longest: Duration, instead: Duration) -> Bound {
    Bound {
        table: "angarium_inbox",
        key: "consumer, event_id",
        column,
        form: TimeForm::Native,
        rows: format!(
            "consumer = {} AND {column} IS NOT NULL",
            sql::text(consumer)
        ),
        longest,
        instead,
    }
}

/// The row, if this lease still holds it. If not, it was released, leased again or settled meanwhile.
const OURS: &str =
    "WHERE consumer = $1 AND event_id = {uuid $2} AND due_at = {time of $3} AND state <> 'done'
  AND (state IN ('waiting', 'deferred') OR state = 'discarded' AND settled_at IS NULL)";

/// For `{list $2: event_id text, lease_ends_ms bigint}`.
fn listed<'a>(all: impl IntoIterator<Item = &'a RetryLease>) -> Value {
    let rows = all.into_iter().map(|leased| {
        let columns = [
            ("event_id", json!(leased.event_id)),
            ("lease_ends_ms", json!(leased.lease_ends_ms)),
        ];
        let columns = columns.map(|(name, value)| (name.to_owned(), value));
        columns.into_iter().collect()
    });
    sql::list(rows)
}

fn ours(leased: &RetryLease) -> [Value; 3] {
    [
        leased.consumer.as_str().into(),
        leased.event_id.as_str().into(),
        leased.lease_ends_ms.into(),
    ]
}
