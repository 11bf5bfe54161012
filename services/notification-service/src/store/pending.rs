//! The mailer's view of the table: what is due, who has it, and how it ended.
//!
//! Taking up a mail is a short transaction of its own that pushes its due time into the future, as a lease: no transaction is
//! open while a mail server is talked to, no two replicas send the same mail, and a mail whose sender has died is simply due
//! again.

use std::collections::HashSet;
use std::time::Duration;

use messaging::trace::TraceContext;
use messaging::{Bound, TimeForm, Transaction};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait as _, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, UpdateResult,
};
use store::now_sql;
use uuid::Uuid;

use super::notification::{Column, Entity, Model};
use super::{kind_name, state_name, stored_id, stored_kind};
use crate::notification::{Kind, Letter, SealedCode, State};

/// Asks how long until the next pending mail is due.
pub fn due_in_ms(db: &impl ConnectionTrait) -> String {
    let wait_ms = Expr::col(Column::DueAtMs)
        .min()
        .sub(Expr::cust(now_sql(db.get_database_backend())));
    Entity::find()
        .select_only()
        .expr_as(wait_ms, "wait_ms")
        .filter(is_ours())
        .build(db.get_database_backend())
        .to_string()
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

/// Takes up at most `limit` mails that are due, for as long as `lease`, and counts the attempts that begin with it. Mails
/// that another replica is just taking up are passed over. So are those `in_flight` in this process: where their leases have
/// run out, they get new ones, and nothing is counted.
pub async fn take_up(
    transaction: &Transaction,
    lease: Duration,
    limit: usize,
    in_flight: &HashSet<Uuid>,
) -> Result<Vec<Letter>, DbErr> {
    let db = transaction;
    // In the same query, so that those in flight are passed over as well while their outcomes are just being recorded.
    let enough = limit.saturating_add(in_flight.len());
    let rows = Entity::find()
        .filter(is_ours())
        .filter(Expr::col(Column::DueAtMs).lte(Expr::cust(now_sql(db.get_database_backend()))))
        .order_by_asc(Column::DueAtMs)
        .limit(u64::try_from(enough).unwrap_or(u64::MAX))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(db)
        .await?;
    let letters: Vec<Letter> = rows.into_iter().map(letter).collect::<Result<_, _>>()?;
    let (ours, mut letters): (Vec<_>, Vec<_>) = letters
        .into_iter()
        .partition(|letter| in_flight.contains(&letter.id));
    if !ours.is_empty() {
        Entity::update_many()
            .col_expr(Column::DueAtMs, in_the_future(db, lease))
            .filter(Column::NotificationId.is_in(ids(&ours)))
            .exec(db)
            .await?;
    }

    letters.truncate(limit);
    let repeats = CaseStatement::new()
        .case(
            Column::AttemptBeganAtMs.is_not_null(),
            Expr::col(Column::Repeats).add(1),
        )
        .finally(Expr::col(Column::Repeats));
    Entity::update_many()
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::Repeats, repeats.into())
        .col_expr(
            Column::AttemptBeganAtMs,
            Expr::cust(now_sql(db.get_database_backend())),
        )
        .col_expr(Column::DueAtMs, in_the_future(db, lease))
        .filter(Column::NotificationId.is_in(ids(&letters)))
        .exec(db)
        .await?;
    Ok(letters)
}

/// Keeps a mail whose sending takes its time from becoming due to others. Tells whether it still was ours.
pub async fn extend_lease(
    db: &impl ConnectionTrait,
    letter: &Letter,
    lease: Duration,
) -> Result<bool, DbErr> {
    let extended = Entity::update_many()
        .col_expr(Column::DueAtMs, in_the_future(db, lease))
        .filter(is_attempt(letter))
        .exec(db)
        .await?;
    Ok(any(&extended))
}

/// The mail was handed over. `false` where that has been recorded already. It does not matter whose attempt it was: sent is
/// sent, and nobody is to send it again.
pub async fn record_sent(
    db: &impl ConnectionTrait,
    id: Uuid,
    sent_at_ms: i64,
) -> Result<bool, DbErr> {
    let recorded = Entity::update_many()
        .col_expr(Column::State, Expr::value(state_name(State::Sent)))
        .col_expr(Column::SentAtMs, Expr::value(sent_at_ms))
        .col_expr(Column::Failure, Expr::value(None::<String>))
        .col_expr(Column::AttemptBeganAtMs, Expr::value(None::<i64>))
        .filter(Column::NotificationId.eq(id.to_string()))
        .filter(is_pending())
        .exec(db)
        .await?;
    Ok(any(&recorded))
}

/// The mail is given up. `false` where the attempt is not the last one any more.
pub async fn record_failed(
    db: &impl ConnectionTrait,
    letter: &Letter,
    failure: &str,
    failed_at_ms: i64,
) -> Result<bool, DbErr> {
    let recorded = Entity::update_many()
        .col_expr(Column::State, Expr::value(state_name(State::Failed)))
        .col_expr(Column::FailedAtMs, Expr::value(failed_at_ms))
        .col_expr(Column::Failure, Expr::value(failure))
        .col_expr(Column::AttemptBeganAtMs, Expr::value(None::<i64>))
        .filter(is_attempt(letter))
        .exec(db)
        .await?;
    Ok(any(&recorded))
}

/// The attempt failed, and another one is to be made after `delay`. `false` where it is not the last one any more.
pub async fn postpone(
    db: &impl ConnectionTrait,
    letter: &Letter,
    failure: &str,
    delay: Duration,
) -> Result<bool, DbErr> {
    let recorded = Entity::update_many()
        .col_expr(Column::Failure, Expr::value(failure))
        .col_expr(Column::DueAtMs, in_the_future(db, delay))
        .col_expr(Column::AttemptBeganAtMs, Expr::value(None::<i64>))
        .filter(is_attempt(letter))
        .exec(db)
        .await?;
    Ok(any(&recorded))
}

/// Pending, and of a kind that this release knows: others wait for the release that wrote them, and hold up nothing. What goes to
/// somebody whose account was deleted is about to be dropped, but for the mail that says so.
fn is_ours() -> Expr {
    let deleted = "EXISTS (SELECT 1 FROM recipient
        WHERE recipient.user_id = notification.user_id AND recipient.erased_at_ms IS NOT NULL)";
    Column::Kind
        .is_in(Kind::ALL.map(kind_name))
        .and(is_pending())
        .and(
            Column::Kind
                .eq(kind_name(Kind::AccountDeleted))
                .or(Expr::cust(deleted).not()),
        )
}

pub(super) fn is_pending() -> Expr {
    // Written out: the partial index is used only where the planner sees its condition.
    Expr::cust("state = 'pending'")
}

/// Whoever has lost the lease has nothing to say any more: the attempt has another number by then.
fn is_attempt(letter: &Letter) -> Expr {
    Column::NotificationId
        .eq(letter.id.to_string())
        .and(Column::Attempts.eq(letter.attempt))
        .and(is_pending())
}

fn ids(letters: &[Letter]) -> Vec<String> {
    letters.iter().map(|letter| letter.id.to_string()).collect()
}

fn in_the_future(db: &impl ConnectionTrait, by: Duration) -> Expr {
    let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Expr::cust(now_sql(db.get_database_backend())).add(by_ms)
}

fn any(updated: &UpdateResult) -> bool {
    updated.rows_affected > 0
}

/// The row as it was when it was locked, before this attempt was counted.
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
        created_at_ms: row.created_at_ms,
        correlation_id: row.correlation_id,
        trace: TraceContext {
            traceparent: row.traceparent,
            tracestate: row.tracestate,
            baggage: row.baggage,
        },
        attempt: row.attempts.saturating_add(1),
        repeated: row.attempt_began_at_ms.is_some(),
    })
}
