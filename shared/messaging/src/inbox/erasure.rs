//! Erases a person's data from held and dead events.
//!
//! Guarantee: when nothing is left, no held event of a type with personal data contains data of this person. An erased
//! dead letter is discarded, so waiting events follow; another held event is handled in its turn, without the data. The
//! person is remembered for as long as an event can come back, so that later dead letters are erased, too.

use std::collections::BTreeSet;

use sea_orm::{DbErr, QueryResult, Value};
use serde_json::{Map, json};
use store::sql;

use super::SIGNAL;
use crate::dead_letters::{aging, record};
use crate::transaction::Transaction;

const BATCH: i64 = 200;

const ACTOR: &str = "erasure";
const REASON: &str = "the user was deleted";

/// The contracts' knowledge of personal data, by an event's type and body.
pub struct PersonalData {
    /// The full names of the events with personal data.
    pub types: Vec<&'static str>,
    /// The person's id; for an unreadable body, derived from the aggregate's id. `None`: no person.
    pub person: fn(event_type: &str, body: &[u8], aggregate_id: Option<&str>) -> Option<String>,
    /// The body without the personal data. `None` if it cannot be decoded.
    pub blanked: fn(event_type: &str, body: &[u8]) -> Option<Vec<u8>>,
}

/// Why an erasure must be continued later.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// A consumer is handling some of the events; they are done or held soon.
    #[error("{0} held events with personal data are being handled now; they are erased after that")]
    InUse(i64),
    /// The database refuses.
    #[error(transparent)]
    Database(#[from] DbErr),
}

/// Erases the data of `person_id` from some of the held events, in the transaction that deletes the person's data.
/// Returns whether another transaction may find more.
///
/// # Errors
/// If a consumer is handling the rest, or the database refuses.
pub async fn erase_held(
    transaction: &Transaction,
    person_id: &str,
    personal: &PersonalData,
) -> Result<bool, EraseError> {
    let attributed = attribute(transaction, UNATTRIBUTED, personal).await?;
    if attributed || erase_some(transaction, person_id, personal).await? {
        return Ok(true);
    }
    let left = [types(personal), person_id.into()];
    let row = sql::query_one(transaction, LEFT, left).await?;
    match row.map_or(Ok(0), |row| row.try_get("", "in_use"))? {
        0 => sql::execute(transaction, REMEMBER, [person_id.into()]).await?,
        in_use => return Err(EraseError::InUse(in_use)),
    };
    Ok(false)
}

/// Erases some dead letters that arrived after their person was erased. Returns whether there may be more.
///
/// # Errors
/// If the database refuses.
pub async fn erase_late(transaction: &Transaction, personal: &PersonalData) -> Result<bool, DbErr> {
    attribute(transaction, LATE, personal).await
}

/// The query for [`Store::wakeup`](crate::Store::wakeup) that finds dead letters for [`erase_late`].
pub fn late_due_in_ms(personal: &PersonalData) -> String {
    let types: Vec<String> = personal.types.iter().map(|name| sql::text(name)).collect();
    format!(
        "SELECT cast(CASE WHEN EXISTS (
             SELECT 1 FROM angarium_inbox
             WHERE person_id IS NULL AND state IN ('dead', 'skipped') AND event_type IN ({})) THEN 0 END AS bigint)",
        types.join(", ")
    )
}

// Each row is decoded once; then it has its person. Rows locked by a consumer are skipped, because it may wait for a
// row of this transaction.
pub(super) const UNATTRIBUTED: &str = "
SELECT consumer, {text event_id} AS event_id, event_type, state, aggregate_id, body FROM angarium_inbox
WHERE person_id IS NULL AND state <> 'done'
  AND event_type IN (SELECT list.event_type FROM {list $1: event_type text})
LIMIT $2 {skip locked}";

pub(super) const LATE: &str = "
SELECT consumer, {text event_id} AS event_id, event_type, state, aggregate_id, body FROM angarium_inbox
WHERE person_id IS NULL AND state IN ('dead', 'skipped')
  AND event_type IN (SELECT list.event_type FROM {list $1: event_type text})
LIMIT $2 {skip locked}";

const REMEMBER: &str = "
INSERT INTO angarium_erased_person (person_id, erased_at) VALUES ($1, {time})
ON CONFLICT (person_id) DO UPDATE SET erased_at = excluded.erased_at";

const REMEMBERED: &str = "
SELECT person_id FROM angarium_erased_person
WHERE person_id IN (SELECT list.person_id FROM {list $1: person_id text})";

const ATTRIBUTE: &str = "
UPDATE angarium_inbox SET person_id = list.person_id
FROM {list $1: consumer text, event_id text, person_id text}
WHERE angarium_inbox.consumer = list.consumer AND angarium_inbox.event_id = {uuid list.event_id}";

pub(super) const PERSONAL: &str = "
SELECT consumer, {text event_id} AS event_id, event_type, state, body FROM angarium_inbox
WHERE person_id = $1 AND person_id <> '' AND state <> 'done' AND erased_at IS NULL
LIMIT $2 {skip locked}";

pub(super) const LEFT: &str = "
SELECT (SELECT count(*) FROM angarium_inbox
        WHERE person_id IS NULL AND state <> 'done'
          AND event_type IN (SELECT list.event_type FROM {list $1: event_type text}))
     + (SELECT count(*) FROM angarium_inbox
        WHERE person_id = $2 AND person_id <> '' AND state <> 'done' AND erased_at IS NULL) AS in_use";

// The new due time ends the lease of a worker that has read the event with its data.
const BLANK: &str = "
UPDATE angarium_inbox SET body = $3, cause = NULL, erased_at = {time}, begun = 0,
                          due_at = CASE WHEN begun > 0 THEN {time} ELSE due_at END
WHERE consumer = $1 AND event_id = {uuid $2}";

const DISCARD: &str = "
UPDATE angarium_inbox
SET body = substr(body, 1, 0), cause = NULL, erased_at = {time}, state = 'discarded', begun = 0, due_at = {time}, settled_at = NULL
WHERE consumer = $1 AND event_id = {uuid $2}";

const EMPTY: &str = "
UPDATE angarium_inbox SET body = substr(body, 1, 0), cause = NULL, erased_at = {time}
WHERE consumer = $1 AND event_id = {uuid $2}";

/// A cause may repeat the event's content.
const FORGET_CAUSES: &str = "
UPDATE angarium_dead_letter_decision SET cause = NULL
WHERE consumer = $1 AND event_id = {uuid $2} AND cause IS NOT NULL";

async fn attribute(
    transaction: &Transaction,
    query: &str,
    personal: &PersonalData,
) -> Result<bool, DbErr> {
    let rows = sql::query_all(transaction, query, [types(personal), BATCH.into()]).await?;
    let mut attributed = Vec::new();
    for row in &rows {
        let (key, event_type, body) = (Key::of(row)?, event_type(row)?, body(row));
        let aggregate_id: Option<String> = row.try_get("", "aggregate_id")?;
        let person = (personal.person)(&event_type, &body, aggregate_id.as_deref());
        attributed.push((key, person.unwrap_or_default()));
    }
    if attributed.is_empty() {
        return Ok(false);
    }
    let list = attributed.iter().map(|(key, person)| {
        columns([
            ("consumer", key.consumer.as_str()),
            ("event_id", &key.event_id),
            ("person_id", person),
        ])
    });
    sql::execute(transaction, ATTRIBUTE, [sql::list(list)]).await?;
    let persons = attributed
        .iter()
        .map(|(_, person)| columns([("person_id", person.as_str())]));
    let mut erased = BTreeSet::new();
    for row in sql::query_all(transaction, REMEMBERED, [sql::list(persons)]).await? {
        erased.insert(row.try_get::<String>("", "person_id")?);
    }
    let mut late = Vec::new();
    for (row, (_, person)) in rows.iter().zip(&attributed) {
        if erased.contains(person) {
            late.push(row);
        }
    }
    erase(transaction, late, personal).await?;
    Ok(true)
}

async fn erase_some(
    transaction: &Transaction,
    person_id: &str,
    personal: &PersonalData,
) -> Result<bool, DbErr> {
    let rows = sql::query_all(transaction, PERSONAL, [person_id.into(), BATCH.into()]).await?;
    erase(transaction, rows.iter().collect(), personal).await?;
    Ok(!rows.is_empty())
}

async fn erase(
    transaction: &Transaction,
    rows: Vec<&QueryResult>,
    personal: &PersonalData,
) -> Result<(), DbErr> {
    let mut discarded = 0;
    for row in rows {
        let key = Key::of(row)?;
        let state: String = row.try_get("", "state")?;
        let blanked = match state.as_str() {
            "waiting" | "deferred" => (personal.blanked)(&event_type(row)?, &body(row)),
            _ => None,
        };
        if let Some(blanked) = blanked {
            let [consumer, event_id] = key.values();
            sql::execute(transaction, BLANK, [consumer, event_id, blanked.into()]).await?;
        } else if state == "discarded" {
            sql::execute(transaction, EMPTY, key.values()).await?;
        } else {
            discard(transaction, &key).await?;
            discarded += 1;
        }
        sql::execute(transaction, FORGET_CAUSES, key.values()).await?;
    }
    if discarded > 0 {
        transaction.wake_on_commit(SIGNAL);
        aging::count("erasure", discarded);
    }
    Ok(())
}

async fn discard(transaction: &Transaction, key: &Key) -> Result<(), DbErr> {
    let Key { consumer, event_id } = key;
    let decision = record::DISCARDED;
    record::keep(transaction, consumer, event_id, decision, ACTOR, REASON).await?;
    sql::execute(transaction, DISCARD, key.values()).await?;
    Ok(())
}

struct Key {
    consumer: String,
    event_id: String,
}

impl Key {
    fn of(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            consumer: row.try_get("", "consumer")?,
            event_id: row.try_get("", "event_id")?,
        })
    }

    fn values(&self) -> [Value; 2] {
        [self.consumer.as_str().into(), self.event_id.as_str().into()]
    }
}

fn types(personal: &PersonalData) -> Value {
    let types = personal.types.iter();
    sql::list(types.map(|name| columns([("event_type", name)])))
}

fn columns<const N: usize>(columns: [(&str, &str); N]) -> Map<String, serde_json::Value> {
    let columns = columns.map(|(name, value)| (name.to_owned(), json!(value)));
    columns.into_iter().collect()
}

fn event_type(row: &QueryResult) -> Result<String, DbErr> {
    row.try_get("", "event_type")
}

/// A damaged row has no readable body.
fn body(row: &QueryResult) -> Vec<u8> {
    row.try_get("", "body").unwrap_or_default()
}
