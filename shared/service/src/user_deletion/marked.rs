//! The marks of deleted users: the list of work of [`user_deletion`](super).
//!
//! A mark is in the service's row of the user, so a command that locks this row sees it. It holds the cause of the
//! deletion until the work is complete.

use contracts::Event as _;
use contracts::user::v1::UserCreated;
use messaging::repair::Restored;
use messaging::trace::{self, TraceContext};
use messaging::{Cause, Transaction};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use store::sql;
use tracing::Span;
use uuid::Uuid;

use crate::stored_id;

/// A deleted user with work left.
pub struct Deleted {
    /// The user.
    pub user_id: Uuid,
    /// The deletion event, as the cause of follow-up events.
    pub cause: Cause,
    /// The span of the work; [`Span::none`] without a trace.
    pub span: Span,
}

/// The mark of a locked user.
pub(super) struct Marked {
    pub(super) user_id: String,
    /// An error if the mark cannot be read.
    pub(super) user: Result<Deleted, DbErr>,
}

/// The columns of a table of users that hold the marks. The key is `user_id`; the columns `settled_at_ms`,
/// `correlation_id` and `deletion_event_id` may be null. An index on `marked_at`, for rows that are marked and not
/// settled, answers the worker.
#[derive(Clone, Copy, Debug)]
pub struct MarkedUsers {
    /// The table.
    pub table: &'static str,
    /// The column with the time of the mark, in Unix milliseconds.
    pub marked_at: &'static str,
    /// The column with the version of the last handled event of the user.
    pub version: &'static str,
    /// Whether it has the columns `traceparent`, `tracestate` and `baggage`: the work then continues the trace of the
    /// deletion.
    pub has_trace: bool,
}

const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];

impl MarkedUsers {
    /// Marks the user; an earlier mark stays. Call [`wake`](super::wake) with it.
    ///
    /// # Errors
    /// If the table has no row of the user, or the database refuses.
    pub async fn mark(
        self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
        deletion: &Cause,
    ) -> Result<(), DbErr> {
        let Self {
            table, marked_at, ..
        } = self;
        let user_id = user_id.to_string();
        let mut values: Vec<Value> = vec![
            user_id.as_str().into(),
            deletion.correlation_id.as_str().into(),
            deletion.event_id.map(|id| id.to_string()).into(),
        ];
        let mut traced = String::new();
        if self.has_trace {
            let trace = trace::current();
            values.extend([trace.traceparent, trace.tracestate, trace.baggage].map(Value::from));
            traced.push_str(", traceparent = $4, tracestate = $5, baggage = $6");
        }
        let marking = format!(
            "UPDATE {table} SET {marked_at} = {{now}}, correlation_id = $2, deletion_event_id = $3{traced}
             WHERE user_id = $1 AND {marked_at} IS NULL"
        );
        if sql::execute(db, &marking, values).await? > 0 {
            return Ok(());
        }
        let there = format!("SELECT 1 AS one FROM {table} WHERE user_id = $1");
        match sql::query_one(db, &there, [user_id.into()]).await? {
            Some(_) => Ok(()),
            None => Err(DbErr::RecordNotUpdated),
        }
    }

    /// After a restore of the user service, the state at this version and later events replace the row. A user that the
    /// user service has lost is removed. For [`Parts::taking_back`](crate::Parts::taking_back).
    ///
    /// # Errors
    /// If the database refuses.
    pub async fn take_back(
        self,
        transaction: &Transaction,
        user: Restored<'_>,
    ) -> Result<(), DbErr> {
        if user.aggregate_type != UserCreated::AGGREGATE {
            return Ok(());
        }
        let Self {
            table,
            marked_at,
            version,
            ..
        } = self;
        if user.version == 0 {
            let removing = format!("DELETE FROM {table} WHERE user_id = $1");
            sql::execute(transaction, &removing, [user.aggregate_id.into()]).await?;
            return Ok(());
        }
        if user.exists {
            // Its deletion is lost.
            let unmarking = format!(
                "UPDATE {table} SET {marked_at} = NULL, settled_at_ms = NULL WHERE user_id = $1"
            );
            sql::execute(transaction, &unmarking, [user.aggregate_id.into()]).await?;
        }
        let going_back =
            format!("UPDATE {table} SET {version} = $2 WHERE user_id = $1 AND {version} > $2");
        let before = user.version - 1;
        sql::execute(
            transaction,
            &going_back,
            [user.aggregate_id.into(), before.into()],
        )
        .await?;
        Ok(())
    }

    /// A query for [`Store::wakeup`](messaging::Store::wakeup): due now if a user is marked, locked or not.
    pub fn due_in_ms(self) -> String {
        format!(
            "SELECT cast(0 AS bigint) FROM {} WHERE {} LIMIT 1",
            self.table,
            self.unsettled()
        )
    }

    /// Skips users that another replica has locked, and those in `except`.
    pub(super) async fn lock_first(
        self,
        db: &impl ConnectionTrait,
        except: Vec<String>,
    ) -> Result<Option<Marked>, DbErr> {
        let traced = if self.has_trace {
            format!(", {}", TRACE.join(", "))
        } else {
            String::new()
        };
        let locking = format!(
            "SELECT user_id, correlation_id, deletion_event_id{traced} FROM {}
             WHERE {} AND user_id {{not in texts $1}} ORDER BY {} LIMIT 1 {{skip locked}}",
            self.table,
            self.unsettled(),
            self.marked_at
        );
        let Some(row) = sql::query_one(db, &locking, [sql::texts(except)]).await? else {
            return Ok(None);
        };
        Ok(Some(Marked {
            user_id: row.try_get("", "user_id")?,
            user: self.deleted(&row),
        }))
    }

    /// The cause is not needed any more, and baggage comes from callers: neither is kept.
    pub(super) async fn settle(
        self,
        db: &impl ConnectionTrait,
        user_id: Uuid,
    ) -> Result<(), DbErr> {
        let mut forgotten = vec!["correlation_id", "deletion_event_id"];
        if self.has_trace {
            forgotten.extend(TRACE);
        }
        let settling = format!(
            "UPDATE {} SET settled_at_ms = {{now}}, {} = NULL WHERE user_id = $1",
            self.table,
            forgotten.join(" = NULL, ")
        );
        sql::execute(db, &settling, [user_id.to_string().into()]).await?;
        Ok(())
    }

    fn unsettled(self) -> String {
        format!("{} IS NOT NULL AND settled_at_ms IS NULL", self.marked_at)
    }

    fn deleted(self, row: &QueryResult) -> Result<Deleted, DbErr> {
        let (user_id, event_id): (String, Option<String>) = (
            row.try_get("", "user_id")?,
            row.try_get("", "deletion_event_id")?,
        );
        let correlation_id: Option<String> = row.try_get("", "correlation_id")?;
        let cause = Cause {
            correlation_id: correlation_id.unwrap_or_default(),
            event_id: event_id.as_deref().map(stored_id).transpose()?,
        };
        Ok(Deleted {
            user_id: stored_id(&user_id)?,
            span: self.span(row, &cause)?,
            cause,
        })
    }

    fn span(self, row: &QueryResult, cause: &Cause) -> Result<Span, DbErr> {
        if !self.has_trace {
            return Ok(Span::none());
        }
        let span = tracing::info_span!(
            "settle deletion",
            otel.kind = "internal",
            correlation_id = cause.correlation_id,
        );
        let [traceparent, tracestate, baggage] = TRACE.map(|column| row.try_get("", column));
        let trace = TraceContext {
            traceparent: traceparent?,
            tracestate: tracestate?,
            baggage: baggage?,
        };
        trace::continue_in(&span, &trace);
        Ok(span)
    }
}
