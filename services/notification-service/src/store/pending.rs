//! The mailer's view of the table: what is due, and which attempt has it. How attempts end is recorded by [`super::ended`].
//!
//! A mail is leased: its due time moves into the future, in a statement that stands alone. So no transaction is open while a mail
//! server is talked to, no two replicas send the same mail, and the mail of a sender that died is due again when its lease ends.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use messaging::trace::TraceContext;
use messaging::{Bound, Store, TimeForm};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ConnectionTrait, DbErr, FromQueryResult as _, IdenStatic as _, Iterable as _, QueryResult,
};
use store::sql;
use uuid::Uuid;

use super::notification::{Column, Model};
use super::{kind_name, stored_id, stored_kind, unreadable};
use crate::notification::{Attempt, Kind, Letter, SealedCode};

/// Asks how long until the next pending mail is due.
pub fn due_in_ms() -> String {
    format!(
        "SELECT min(due_at_ms) - {{now}} FROM notification WHERE {}",
        is_ours()
    )
}

/// How far ahead the time of a pending mail may lie: that of its next attempt, or the end of a lease.
pub fn bound(longest_delay: Duration, lease: Duration) -> Bound {
    Bound {
        table: "notification",
        key: "notification_id",
        column: "due_at_ms",
        form: TimeForm::Milliseconds,
        rows: "state = 'pending'".to_owned(),
        longest: longest_delay.max(lease),
        instead: lease,
    }
}

/// Leases at most `limit` mails that are due, until `lease` is over, and counts the attempts that begin with it. All in one
/// statement, which is a transaction of its own. Mails that another replica is just leasing are passed over. So are those
/// `in_flight` in this process, also where their leases have run out.
pub async fn take_up(
    store: &Store,
    lease: Duration,
    limit: usize,
    in_flight: &HashSet<Uuid>,
) -> Result<Vec<Attempt>, DbErr> {
    let values = [
        sql::texts(in_flight.iter().map(Uuid::to_string)),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
        runtime::millis(lease).into(),
    ];
    let _turn = store.turn_to_write().await?;
    let rows = sql::query_all(store.connection(), &taking_up(), values).await?;
    let attempts = rows.iter().map(attempt);
    // The lease of a row that cannot be read runs out again and again. It must not keep the others from being sent.
    let readable = attempts.filter_map(|attempt| {
        attempt
            .inspect_err(|error| tracing::error!(%error, "a pending mail cannot be read"))
            .ok()
    });
    Ok(readable.collect())
}

fn taking_up() -> String {
    let columns: Vec<&str> = Column::iter().map(|column| column.as_str()).collect();
    format!(
        "WITH due AS MATERIALIZED (
             SELECT notification_id AS due_id FROM notification
             WHERE {} AND due_at_ms <= {{now}} AND notification_id {{not in texts $1}}
             ORDER BY due_at_ms LIMIT $2 {{skip locked}})
         UPDATE notification
         SET attempts = attempts + 1, attempt_began_at_ms = {{now}}, due_at_ms = {{now}} + $3,
             repeats = repeats + CASE WHEN attempt_began_at_ms IS NULL THEN 0 ELSE 1 END
         FROM due WHERE notification_id = due_id
         RETURNING {}",
        is_ours(),
        columns.join(", ")
    )
}

/// Keeps a mail out of sight of others while its sending or recording takes its time. Returns whether the lease was still that of
/// this attempt.
pub async fn extend_lease(
    db: &impl ConnectionTrait,
    attempt: &Attempt,
    lease: Duration,
) -> Result<bool, DbErr> {
    let extended = sql::execute(
        db,
        "UPDATE notification SET due_at_ms = {now} + $3
         WHERE notification_id = $1 AND attempts = $2 AND state NOT IN ('sent', 'failed')",
        [
            attempt.letter.id.to_string().into(),
            attempt.number.into(),
            runtime::millis(lease).into(),
        ],
    )
    .await?;
    Ok(extended > 0)
}

/// Pending, and of a kind that this release knows: others wait for the release that wrote them, and hold up nothing. What goes to
/// a user without an account any more is about to be dropped, except for the mail about the deletion.
fn is_ours() -> String {
    let kinds = Kind::ALL.map(|kind| sql::text(kind_name(kind)));
    // The state is written out, because the planner uses the partial index only if it sees the condition of it. The recipient is
    // asked for by a value, because PostgreSQL answers EXISTS with a hash of the whole table.
    format!(
        "state = 'pending' AND kind IN ({}) AND (kind = {} OR (
             SELECT recipient.erased_at_ms FROM recipient WHERE recipient.user_id = notification.user_id) IS NULL)",
        kinds.join(", "),
        sql::text(kind_name(Kind::AccountDeleted))
    )
}

pub(super) fn is_pending() -> Expr {
    // Written out: the partial index is used only where the planner sees its condition.
    Expr::cust("state = 'pending'")
}

/// The row as it is with this attempt.
fn attempt(row: &QueryResult) -> Result<Attempt, DbErr> {
    let row = Model::from_query_result(row, "")?;
    let began_at_ms = row.attempt_began_at_ms;
    Ok(Attempt {
        number: row.attempts,
        repeated: row.repeats > 0,
        began_at_ms: began_at_ms.ok_or_else(|| unreadable("notification.attempt_began_at_ms"))?,
        began: Instant::now(),
        letter: letter(row)?,
    })
}

pub(super) fn letter(row: Model) -> Result<Letter, DbErr> {
    let code = row.sealed_code.map(|sealed| SealedCode {
        sealed,
        expires_at_ms: row.code_expires_at_ms.unwrap_or_default(),
    });
    Ok(Letter {
        id: stored_id(&row.notification_id)?,
        user_id: stored_id(&row.user_id)?,
        kind: stored_kind(&row.kind)?,
        event_id: stored_id(&row.event_id)?,
        email: row.email,
        display_name: row.display_name,
        subject: row.subject,
        text: row.body_text,
        html: row.body_html,
        code,
        original_id: row.original_id.as_deref().map(stored_id).transpose()?,
        order_id: row.order_id.as_deref().map(stored_id).transpose()?,
        suppressed: row.suppressed,
        created_at_ms: row.created_at_ms,
        correlation_id: row.correlation_id,
        trace: TraceContext {
            traceparent: row.traceparent,
            tracestate: row.tracestate,
            baggage: row.baggage,
        },
    })
}
