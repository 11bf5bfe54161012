//! What a consumer has given up on, for an operator: seen with its cause, replayed once the cause is mended, or discarded.
//!
//! A decision changes the state of the event's row and nothing else. The consumer takes the row up like any other that is due, so
//! a replay reaches this consumer only, keeps the event's id, and has its effect once; in order, it goes in its turn, and what
//! waited behind it follows. Each decision is kept with who made it and why.

use event::Message;
use sea_orm::{DbErr, QueryResult};

use crate::store::Store;
use crate::{inbox, stored};
use store::sql;

/// Rows a transaction, when many are replayed.
const BATCH: i64 = 200;

/// An event that was given up on (*dead*), or whose type this build did not know (*skipped*).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The event's id; for a message without one, the id that it was given here.
    pub event_id: String,
    /// Whether it is *skipped* rather than *dead*.
    pub skipped: bool,
    /// The protobuf full name, where the message told one.
    pub event_type: Option<String>,
    /// The aggregate that it belongs to, where the message could be read.
    pub aggregate_id: Option<String>,
    /// Its version.
    pub aggregate_version: Option<i64>,
    /// Why it was given up on.
    pub cause: Option<String>,
    /// Failed attempts since it came, or since it was last replayed.
    pub attempts: i32,
    /// Unix milliseconds by the database's clock, as all times here.
    pub received_at_ms: i64,
    /// When the first attempt failed.
    pub first_failed_at_ms: Option<i64>,
    /// When the last attempt failed.
    pub last_failed_at_ms: Option<i64>,
    /// How many later events of its aggregate wait behind it.
    pub blocks: i64,
    /// What arrived, to the byte. It may hold personal data.
    pub message: Message,
}

/// What an operator has decided, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it was replayed rather than discarded.
    pub replayed: bool,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// What the row said was wrong.
    pub cause: Option<String>,
    /// When.
    pub decided_at_ms: i64,
}

/// The dead letters of one consumer.
#[derive(Clone)]
pub struct DeadLetters {
    store: Store,
    consumer: String,
}

impl DeadLetters {
    /// Those of `consumer`, which is the name of its queue, in the consuming service's own database.
    pub fn new(store: Store, consumer: &str) -> Self {
        Self {
            store,
            consumer: consumer.to_owned(),
        }
    }

    /// At most `limit` of them, oldest first, beginning after `after`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn list(
        &self,
        after: Option<&DeadLetter>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, DbErr> {
        let (received_at_ms, event_id) = after.map_or((i64::MIN, ""), |letter| {
            (letter.received_at_ms, letter.event_id.as_str())
        });
        let sql = format!(
            "{LETTER} AND (received_at_ms, event_id) > ($2, $3) ORDER BY received_at_ms, event_id LIMIT $4"
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

    /// The one with this id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn find(&self, event_id: &str) -> Result<Option<DeadLetter>, DbErr> {
        let sql = format!("{LETTER} AND event_id = $2");
        let values = [self.consumer.as_str().into(), event_id.into()];
        let row = sql::query_one(self.store.connection(), &sql, values).await?;
        row.as_ref().map(letter).transpose()
    }

    /// Has it handled again, with all its attempts before it. `false` where no dead letter has this id.
    ///
    /// One that came after its turn, or was skipped, is handled although later ones were: an operator has looked at it.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn replay(&self, event_id: &str, actor: &str, reason: &str) -> Result<bool, DbErr> {
        let replaying = "
            UPDATE inbox SET state = 'deferred', due_at_ms = {now}, replayed_at_ms = {now}, settled_at_ms = NULL,
                             attempts = 0, first_failed_at_ms = NULL
            WHERE consumer = $1 AND event_id = $2 AND state IN ('dead', 'skipped')";
        self.decide(event_id, "replayed", replaying, actor, reason)
            .await
    }

    /// Replays all of `event_type` (of every type without one) that are there now, and tells how many. What fails again meanwhile
    /// is not replayed again.
    ///
    /// # Errors
    /// Where the database refuses or is away: some may be replayed by then.
    pub async fn replay_all(
        &self,
        event_type: Option<&str>,
        actor: &str,
        reason: &str,
    ) -> Result<u64, DbErr> {
        // A time in the future was written while the clock was ahead, not by an event that came or was replayed meanwhile.
        let now = sql::query_one(self.store.connection(), "SELECT {now} AS now_ms", []).await?;
        let begun_ms: i64 = now.map_or(Ok(0), |row| row.try_get("", "now_ms"))?;
        let mut replayed = 0;
        loop {
            let ids = sql::query_all(
                self.store.connection(),
                "SELECT event_id FROM inbox
                 WHERE consumer = $1 AND state IN ('dead', 'skipped') AND ($2 = '' OR event_type = $2)
                   AND (received_at_ms <= $3 OR received_at_ms > {now})
                   AND (coalesce(replayed_at_ms, 0) < $3 OR replayed_at_ms > {now})
                 ORDER BY received_at_ms, event_id LIMIT $4",
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

    /// Gives it up for good: it is passed over when its turn comes, and what waits behind it goes on. `false` where no dead
    /// letter has this id.
    ///
    /// # Errors
    /// Where the database refuses or is away: then nothing has changed.
    pub async fn discard(&self, event_id: &str, actor: &str, reason: &str) -> Result<bool, DbErr> {
        let discarding = "
            UPDATE inbox SET state = 'discarded', due_at_ms = {now}, settled_at_ms = NULL
            WHERE consumer = $1 AND event_id = $2 AND state IN ('dead', 'skipped')";
        self.decide(event_id, "discarded", discarding, actor, reason)
            .await
    }

    /// What has been decided about an event, oldest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn decisions(&self, event_id: &str) -> Result<Vec<Decision>, DbErr> {
        let rows = sql::query_all(
            self.store.connection(),
            "SELECT decision, actor, reason, cause, decided_at_ms FROM dead_letter_decision
             WHERE consumer = $1 AND event_id = $2 ORDER BY sequence",
            [self.consumer.as_str().into(), event_id.into()],
        )
        .await?;
        rows.iter().map(decision).collect()
    }

    async fn decide(
        &self,
        event_id: &str,
        decision: &str,
        change: &str,
        actor: &str,
        reason: &str,
    ) -> Result<bool, DbErr> {
        let transaction = self.store.begin().await?;
        // Before the row is changed, because what it says goes with the decision.
        sql::execute(
            &transaction,
            "INSERT INTO dead_letter_decision (consumer, event_id, decision, actor, reason, cause, attempts, decided_at_ms)
             SELECT consumer, event_id, $3, $4, $5, cause, attempts, {now} FROM inbox
             WHERE consumer = $1 AND event_id = $2 AND state IN ('dead', 'skipped')",
            [
                self.consumer.as_str().into(),
                event_id.into(),
                decision.into(),
                actor.into(),
                reason.into(),
            ],
        )
        .await?;
        let key = [self.consumer.as_str().into(), event_id.into()];
        let changed = sql::execute(&transaction, change, key).await?;
        if changed == 0 {
            // There is none, or somebody else has decided in this moment.
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.wake_on_commit(inbox::SIGNAL);
        transaction.commit().await?;
        Ok(true)
    }
}

pub(crate) const LETTER: &str = "
SELECT event_id, state, event_type, aggregate_id, aggregate_version, cause, attempts, received_at_ms, first_failed_at_ms,
       last_failed_at_ms, exchange, routing_key, properties, body,
       (SELECT count(*) FROM inbox AS later
           WHERE later.consumer = letter.consumer AND later.state <> 'done' AND later.state = 'waiting'
             AND later.aggregate_type = letter.aggregate_type AND later.aggregate_id = letter.aggregate_id
             AND later.aggregate_version > letter.aggregate_version) AS blocks
FROM inbox AS letter WHERE consumer = $1 AND state IN ('dead', 'skipped')";

fn letter(row: &QueryResult) -> Result<DeadLetter, DbErr> {
    Ok(DeadLetter {
        event_id: row.try_get("", "event_id")?,
        skipped: row.try_get::<String>("", "state")? == inbox::Held::Skipped.as_str(),
        event_type: row.try_get("", "event_type")?,
        aggregate_id: row.try_get("", "aggregate_id")?,
        aggregate_version: row.try_get("", "aggregate_version")?,
        cause: row.try_get("", "cause")?,
        attempts: row.try_get("", "attempts")?,
        received_at_ms: row.try_get("", "received_at_ms")?,
        first_failed_at_ms: row.try_get("", "first_failed_at_ms")?,
        last_failed_at_ms: row.try_get("", "last_failed_at_ms")?,
        blocks: row.try_get("", "blocks")?,
        message: stored::message(row),
    })
}

fn decision(row: &QueryResult) -> Result<Decision, DbErr> {
    Ok(Decision {
        replayed: row.try_get::<String>("", "decision")? == "replayed",
        actor: row.try_get("", "actor")?,
        reason: row.try_get("", "reason")?,
        cause: row.try_get("", "cause")?,
        decided_at_ms: row.try_get("", "decided_at_ms")?,
    })
}
