//! The consumer's side of a restored producer: which producers have diverged, and an operator's decision to follow an
//! aggregate as its producer has it now.
//!
//! Guarantee: a decision, its changes and its record are committed together. Effects of lost events outside of views
//! stay.

use std::time::Duration;

use futures::future::BoxFuture;
use sea_orm::{DbErr, QueryResult};
use store::sql;
use uuid::Uuid;

use super::handing::{Repair, ids};
use super::history::Stored;
use super::record::{self, By};
use crate::consumer::OVERTAKEN;
use crate::inbox;
use crate::transaction::Transaction;

/// An event that a consumer has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its id.
    pub event_id: String,
    /// As its events name it, such as `user`.
    pub aggregate_type: String,
    /// The aggregate's id.
    pub aggregate_id: String,
    /// The aggregate's version after it.
    pub version: i64,
    /// Otherwise it is held, or was refused.
    pub handled: bool,
}

/// A producer that has lost events with its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diverged {
    /// The producer.
    pub source: String,
    /// The exchange.
    pub exchange: String,
    /// The first repeated number of its checkpoints.
    pub from: i64,
    /// When it was noticed, in Unix milliseconds.
    pub at_ms: i64,
}

/// An aggregate after a restore of its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored<'a> {
    /// As its events name it, such as `user`.
    pub aggregate_type: &'a str,
    /// Its id.
    pub aggregate_id: &'a str,
    /// The last common version. 0: the producer does not know the aggregate.
    pub version: i64,
    /// Whether the producer has it now, by its state.
    pub exists: bool,
}

/// Takes the views of a service back to the version of a [`Restored`] aggregate; the state at this version and later
/// events then replace them.
pub type TakeBack = for<'a> fn(&'a Transaction, Restored<'a>) -> BoxFuture<'a, Result<(), DbErr>>;

/// What an operator accepts.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    /// The aggregate.
    pub restored: Restored<'a>,
    /// As its producer has it now.
    pub state: Option<Stored>,
    /// They are not listed again; held ones are never handled.
    pub lost: Vec<String>,
}

const RECEIVED: &str = "
SELECT {text event_id} AS event_id, aggregate_type, aggregate_id, aggregate_version, state = 'done' AS is_handled
FROM angarium_inbox
WHERE consumer = $1 AND event_id > {uuid $2} AND source = $3 AND lost_at IS NULL AND is_state IS NULL
  AND aggregate_type IS NOT NULL AND aggregate_id IS NOT NULL AND aggregate_version >= 1
ORDER BY event_id LIMIT $4";

const DIVERGED: &str = "
SELECT source, exchange, coalesce(diverged_from, 1) AS diverged_from, {ms diverged_at} AS at_ms FROM angarium_checkpoint_stream
WHERE consumer = $1 AND diverged_at IS NOT NULL ORDER BY source, exchange";

// Before any row of the inbox, as a consumer does.
const LOCK: &str = "
SELECT version FROM angarium_position
WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3 {for update}";

const TAKE_BACK: &str = "
UPDATE angarium_position SET version = $4
WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND version > $4";

// `state <> 'done'` although 'dead' implies it: the planner uses the partial index only if it sees its condition.
const RETRY: &str = "
UPDATE angarium_inbox
SET state = 'deferred', due_at = {time}, repaired_at = {time}, settled_at = NULL, attempts = 0, first_failed_at = NULL, cause = NULL
WHERE consumer = $1 AND aggregate_type = $2 AND aggregate_id = $3 AND state <> 'done' AND state = 'dead' AND cause = $4";

const LOSE: &str = "
UPDATE angarium_inbox
SET lost_at = {time}, settled_at = coalesce(settled_at, {time}), due_at = CASE WHEN state = 'done' THEN due_at END,
    state = CASE WHEN state = 'done' THEN 'done' ELSE 'discarded' END
WHERE consumer = $1 AND lost_at IS NULL AND aggregate_type = $3 AND aggregate_id = $4
  AND event_id IN (SELECT {uuid list.event_id} FROM {list $2: event_id text})";

const ACCEPT: &str = "
UPDATE angarium_checkpoint_stream SET diverged_at = NULL, diverged_from = NULL
WHERE consumer = $1 AND source = $2 AND diverged_at IS NOT NULL";

const MARGIN: Duration = Duration::from_secs(3600);

impl Repair {
    /// At most `limit` events of `source` after the id `after`, created at `from_ms` (Unix milliseconds) or later.
    /// Without those accepted as lost, and without states.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn received(
        &self,
        source: &str,
        from_ms: i64,
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Received>, DbErr> {
        let after = after.unwrap_or_else(|| first_id(from_ms));
        let values = [
            self.consumer().into(),
            after.to_string().into(),
            source.into(),
            i64::from(limit).into(),
        ];
        let rows = sql::query_all(self.store().connection(), RECEIVED, values).await?;
        rows.iter().map(received).collect()
    }

    /// The producers that have lost events with their database.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub async fn diverged(&self) -> Result<Vec<Diverged>, DbErr> {
        let consumer = [self.consumer().into()];
        let rows = sql::query_all(self.store().connection(), DIVERGED, consumer).await?;
        rows.iter().map(diverged).collect()
    }

    /// Follows an aggregate as its producer has it now: the position and, with `take_back`, the views go back to the
    /// common version. Events that were refused because of the lost ones are handled; the state too, if it is at the
    /// common version, because otherwise later events bring it. Returns how many refused events are handled again.
    ///
    /// Nothing changes if all lost events were accepted before.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
    pub async fn accept_state(
        &self,
        accepted: &Accepted<'_>,
        take_back: Option<TakeBack>,
        by: &By,
    ) -> Result<u64, DbErr> {
        let Restored {
            aggregate_type: kind,
            aggregate_id: id,
            version,
            ..
        } = accepted.restored;
        let transaction = self.store().begin().await?;
        let key = || {
            [self.consumer(), kind, id]
                .map(sea_orm::Value::from)
                .into_iter()
        };
        sql::query_one(&transaction, LOCK, key()).await?;
        let lost = [
            self.consumer().into(),
            ids(accepted.lost.clone()),
            kind.into(),
            id.into(),
        ];
        let lost = sql::execute(&transaction, LOSE, lost).await?;
        if lost == 0 {
            transaction.rollback().await?;
            return Ok(0);
        }
        let position = key().chain([version.into()]);
        sql::execute(&transaction, TAKE_BACK, position).await?;
        if let Some(take_back) = take_back {
            take_back(&transaction, accepted.restored).await?;
        }
        let refused = key().chain([OVERTAKEN.into()]);
        let retried = sql::execute(&transaction, RETRY, refused).await?;
        if let Some(state) = accepted
            .state
            .as_ref()
            .filter(|state| is_at(state, version))
        {
            self.hold_again(&transaction, state).await?;
        }
        let detail = format!("{kind} {id} from version {version} on");
        record::keep(
            &transaction,
            self.consumer(),
            record::ACCEPTED,
            &detail,
            lost,
            by,
        )
        .await?;
        transaction.wake_on_commit(inbox::SIGNAL);
        transaction.commit().await?;
        Ok(retried)
    }

    async fn hold_again(&self, transaction: &Transaction, state: &Stored) -> Result<(), DbErr> {
        let state = state.again()?;
        let event_id = event::event_id(&state.message).to_string();
        if self.takes(&state) && self.hold(transaction, &state, &event_id).await? {
            let state = std::slice::from_ref(&state);
            self.mark(transaction, vec![event_id], state).await?;
        }
        Ok(())
    }

    /// Ends the alert about a diverged producer. `false` if there is none.
    ///
    /// # Errors
    /// If the database refuses or is unavailable: nothing has changed.
    pub async fn accept_divergence(&self, source: &str, by: &By) -> Result<bool, DbErr> {
        let transaction = self.store().begin().await?;
        let values = [self.consumer().into(), source.into()];
        if sql::execute(&transaction, ACCEPT, values).await? == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        let detail = format!("the divergence of {source}");
        record::keep(
            &transaction,
            self.consumer(),
            record::ACCEPTED,
            &detail,
            0,
            by,
        )
        .await?;
        transaction.commit().await?;
        Ok(true)
    }
}

fn is_at(state: &Stored, version: i64) -> bool {
    event::sequence(&state.message) == Some(version)
}

fn first_id(from_ms: i64) -> Uuid {
    let margin_ms = crate::retry::millis(MARGIN);
    let from_ms = u64::try_from(from_ms.saturating_sub(margin_ms)).unwrap_or(0);
    Uuid::from_u128(u128::from(from_ms) << 80)
}

fn received(row: &QueryResult) -> Result<Received, DbErr> {
    Ok(Received {
        event_id: row.try_get("", "event_id")?,
        aggregate_type: row.try_get("", "aggregate_type")?,
        aggregate_id: row.try_get("", "aggregate_id")?,
        version: row.try_get("", "aggregate_version")?,
        handled: row.try_get("", "is_handled")?,
    })
}

fn diverged(row: &QueryResult) -> Result<Diverged, DbErr> {
    Ok(Diverged {
        source: row.try_get("", "source")?,
        exchange: row.try_get("", "exchange")?,
        from: row.try_get("", "diverged_from")?,
        at_ms: row.try_get("", "at_ms")?,
    })
}
