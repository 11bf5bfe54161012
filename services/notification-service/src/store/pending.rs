//! The mailer's queries: due mails and their attempts.
//!
//! A lease moves the due time into the future, in its own statement. So no transaction is open during the hand-over, no
//! two replicas send the same mail, and the mail of a dead sender is due again.

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
use super::{stored_id, stored_kind, unreadable};
use crate::kinds::Kind;
use crate::notification::{Attempt, Letter, SealedCode};

pub fn due_in_ms() -> String {
    format!(
        "SELECT min(due_at_ms) - {{now}} FROM notification WHERE {}",
        is_ours()
    )
}

/// The latest due time of a pending mail: its next attempt or the end of a lease.
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

/// Leases at most `limit` due mails for `lease`, and counts their attempts, in its own transaction. Skips mails that
/// another replica is leasing, and those `in_flight` in this process, even without a lease.
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
    // The lease of an unreadable row ends again and again. It must not block the others.
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

/// Returns whether this attempt still had the lease.
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

/// Pending, and of a kind that this release knows: others wait for the release that wrote them. Mails to a user without
/// an account are about to be dropped, except the mail about the deletion.
fn is_ours() -> String {
    let kinds: Vec<String> = Kind::all().map(|kind| sql::text(kind.name())).collect();
    // A literal state: the planner needs the condition of the partial index. A scalar subquery: PostgreSQL hashes the
    // whole table for EXISTS.
    format!(
        "state = 'pending' AND kind IN ({}) AND (kind = {} OR (
             SELECT recipient.erased_at_ms FROM recipient WHERE recipient.user_id = notification.user_id) IS NULL)",
        kinds.join(", "),
        sql::text(Kind::AccountDeleted.name())
    )
}

pub(super) fn is_pending() -> Expr {
    // A literal: the planner needs the condition of the partial index.
    Expr::cust("state = 'pending'")
}

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
