//! The dead letters of a consumer, for operators: list with cause, replay after the fix, or discard.
//!
//! A decision only changes the state of the event's row, which the consumer handles like any due one. So a replay
//! reaches only this consumer, keeps the event's id, and has one effect; in order, it takes its turn, and waiting
//! events follow.

use event::Message;
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

use crate::store::Store;
use crate::{inbox, stored};
use store::sql;

pub(crate) mod aging;
mod audit;
pub(crate) mod record;

pub use record::Decision;

const BATCH: i64 = 200;

/// An event that was given up on (*dead*), one of an unknown type (*skipped*), or one that was discarded since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event's id, or the derived one.
    pub event_id: String,
    /// Whether it is *skipped* rather than *dead*.
    pub skipped: bool,
    /// It never has its effect, by an operator, its age or the erasure of a user.
    pub discarded: bool,
    /// The protobuf full name, if the message has one.
    pub event_type: Option<String>,
    /// If the message could be decoded.
    pub aggregate_id: Option<String>,
    /// Its version.
    pub aggregate_version: Option<i64>,
    /// As the message claims.
    pub source: Option<String>,
    /// Of the call that caused it.
    pub correlation_id: Option<String>,
    /// Its trace.
    pub trace_id: Option<String>,
    /// Why it is dead.
    pub cause: Option<String>,
    /// Equal for events of one type that failed for the same reason.
    pub fingerprint: Option<String>,
    /// Since its arrival or last replay.
    pub attempts: i32,
    /// How often it was replayed.
    pub replays: i32,
    /// Unix milliseconds by the database's clock, as all times here.
    pub received_at_ms: i64,
    /// Of the first failed attempt.
    pub first_failed_at_ms: Option<i64>,
    /// Of the last failed attempt.
    pub last_failed_at_ms: Option<i64>,
    /// How many later events of its aggregate wait for it.
    pub blocks: i64,
    /// The message as it arrived. It may contain personal data.
    pub message: Message,
}

/// The dead letters of one consumer.
#[derive(Clone)]
pub struct DeadLetters {
    store: Store,
    consumer: String,
}

impl DeadLetters {
    /// `consumer` is the name of its queue; `store` is the consuming service's own.
    pub fn new(store: Store, consumer: &str) -> Self {
        Self {
            store,
            consumer: consumer.to_owned(),
        }
    }

    /// Lists at most `limit`, oldest first, after `after`.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn list(
        &self,
        after: Option<&DeadLetter>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, DbErr> {
        let first = Uuid::nil().to_string();
        let (received_at_ms, event_id) = after.map_or((0, first.as_str()), |letter| {
            (letter.received_at_ms, letter.event_id.as_str())
        });
        let sql = format!(
            "{} AND (received_at, event_id) > ({{time of $2}}, {{uuid $3}}) ORDER BY received_at, event_id LIMIT $4",
            letters(OPEN)
        );
        let values = [
            self.consumer.as_str().into(),
            received_at_ms.into(),
            event_id.into(),
            i64::from(limit).into(),
        ];
        let rows = sql::query_all(self.store.connection(), &sql, values).await?;
        rows.iter().map(letter).collect()
    }

    /// Finds it, even if it was discarded, while its row exists.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn find(&self, event_id: &str) -> Result<Option<DeadLetter>, DbErr> {
        let Some(event_id) = id(event_id) else {
            return Ok(None);
        };
        let sql = format!("{} AND event_id = {{uuid $2}}", letters(OR_DISCARDED));
        let values = [self.consumer.as_str().into(), event_id.as_str().into()];
        let row = sql::query_one(self.store.connection(), &sql, values).await?;
        row.as_ref().map(letter).transpose()
    }

    /// Replays it, with all its attempts, even after its turn. `false` if no dead letter has this id.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: then nothing has changed.
    pub async fn replay(&self, event_id: &str, actor: &str, reason: &str) -> Result<bool, DbErr> {
        let replaying = "
            UPDATE angarium_inbox
            SET state = 'deferred', due_at = {time}, replayed_at = {time}, replays = replays + 1, settled_at = NULL,
                attempts = 0, first_failed_at = NULL
            WHERE consumer = $1 AND event_id = {uuid $2} AND state IN ('dead', 'skipped')";
        self.decide(event_id, record::REPLAYED, replaying, actor, reason)
            .await
    }

    /// Replays all current dead letters of `event_type` (`None`: of every type), and returns their number. One that
    /// fails again meanwhile is not replayed again.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: some may already be replayed.
    pub async fn replay_all(
        &self,
        event_type: Option<&str>,
        actor: &str,
        reason: &str,
    ) -> Result<u64, DbErr> {
        // A time in the future comes from a wrong clock, not from an arrival or a replay meanwhile.
        let now = sql::query_one(self.store.connection(), "SELECT {now} AS now_ms", []).await?;
        let begun_ms: i64 = now.map_or(Ok(0), |row| row.try_get("", "now_ms"))?;
        let mut replayed = 0;
        loop {
            let ids = sql::query_all(
                self.store.connection(),
                "SELECT {text event_id} AS event_id FROM angarium_inbox
                 WHERE consumer = $1 AND state IN ('dead', 'skipped') AND ($2 = '' OR event_type = $2)
                   AND (received_at <= {time of $3} OR received_at > {time})
                   AND (replayed_at IS NULL OR replayed_at < {time of $3} OR replayed_at > {time})
                 ORDER BY received_at, event_id LIMIT $4",
                [
                    self.consumer.as_str().into(),
                    event_type.unwrap_or_default().into(),
                    begun_ms.into(),
                    BATCH.into(),
                ],
            )
            .await?;
            if ids.is_empty() {
                return Ok(replayed);
            }
            for row in &ids {
                let event_id: String = row.try_get("", "event_id")?;
                replayed += u64::from(self.replay(&event_id, actor, reason).await?);
            }
        }
    }

    /// Discards it: its turn passes. `false` if no dead letter has this id.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: then nothing has changed.
    pub async fn discard(&self, event_id: &str, actor: &str, reason: &str) -> Result<bool, DbErr> {
        let discarding = "
            UPDATE angarium_inbox SET state = 'discarded', due_at = {time}, settled_at = NULL
            WHERE consumer = $1 AND event_id = {uuid $2} AND state IN ('dead', 'skipped')";
        self.decide(event_id, record::DISCARDED, discarding, actor, reason)
            .await
    }

    async fn decide(
        &self,
        event_id: &str,
        decision: &str,
        change: &str,
        actor: &str,
        reason: &str,
    ) -> Result<bool, DbErr> {
        if actor.trim().is_empty() || reason.trim().is_empty() {
            return Err(DbErr::Custom(
                "a decision needs an actor and a reason, for the record".to_owned(),
            ));
        }
        let Some(event_id) = id(event_id) else {
            return Ok(false);
        };
        let transaction = self.store.begin().await?;
        // Before the change: the decision copies the row's cause.
        record::keep(
            &transaction,
            &self.consumer,
            &event_id,
            decision,
            actor,
            reason,
        )
        .await?;
        let key = [self.consumer.as_str().into(), event_id.as_str().into()];
        let changed = sql::execute(&transaction, change, key).await?;
        if changed == 0 {
            // Another operator may have been faster.
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.wake_on_commit(inbox::SIGNAL);
        transaction.commit().await?;
        Ok(true)
    }
}

const ANY_LETTER: &str = "
SELECT {text event_id} AS event_id, state, event_type, aggregate_id, aggregate_version, source, correlation_id, trace_id, cause,
       fingerprint, attempts, replays, {ms received_at} AS received_at_ms, {ms first_failed_at} AS first_failed_at_ms,
       {ms last_failed_at} AS last_failed_at_ms, exchange, routing_key, properties, body,
       (SELECT count(*) FROM angarium_inbox AS later
           WHERE later.consumer = letter.consumer AND later.state <> 'done' AND later.state = 'waiting'
             AND later.aggregate_type = letter.aggregate_type AND later.aggregate_id = letter.aggregate_id
             AND later.aggregate_version > letter.aggregate_version) AS blocks
FROM angarium_inbox AS letter WHERE consumer = $1";

pub(crate) const OPEN: &str = "'dead', 'skipped'";
const OR_DISCARDED: &str = "'dead', 'skipped', 'discarded'";

pub(crate) fn letters(states: &str) -> String {
    format!("{ANY_LETTER} AND state IN ({states})")
}

fn id(text: &str) -> Option<String> {
    Uuid::parse_str(text).ok().map(|id| id.to_string())
}

fn letter(row: &QueryResult) -> Result<DeadLetter, DbErr> {
    let state: String = row.try_get("", "state")?;
    Ok(DeadLetter {
        event_id: row.try_get("", "event_id")?,
        skipped: state == inbox::NotDone::Skipped.as_str(),
        discarded: state == inbox::NotDone::Discarded.as_str(),
        event_type: row.try_get("", "event_type")?,
        aggregate_id: row.try_get("", "aggregate_id")?,
        aggregate_version: row.try_get("", "aggregate_version")?,
        source: row.try_get("", "source")?,
        correlation_id: row.try_get("", "correlation_id")?,
        trace_id: row.try_get("", "trace_id")?,
        cause: row.try_get("", "cause")?,
        fingerprint: row.try_get("", "fingerprint")?,
        attempts: row.try_get("", "attempts")?,
        replays: row.try_get("", "replays")?,
        received_at_ms: row.try_get("", "received_at_ms")?,
        first_failed_at_ms: row.try_get("", "first_failed_at_ms")?,
        last_failed_at_ms: row.try_get("", "last_failed_at_ms")?,
        blocks: row.try_get("", "blocks")?,
        message: stored::message(row),
    })
}
