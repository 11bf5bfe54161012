//! Records outcomes with their events: all outcomes that arrive while a record is in flight share the next transaction;
//! none waits for others. If a group cannot be recorded, each attempt records itself alone, so that a refused row does
//! not block the others.

use std::sync::Arc;

use contracts::notification::v1::{NotificationFailed, NotificationSent};
use messaging::{Cause, Store, Transaction, outbox};
use sea_orm::DbErr;
use service::time;
use tokio::sync::{mpsc, oneshot};
use tokio::task;
use tracing::Span;

use crate::kinds::Kind;
use crate::notification::{Attempt, End, VERSION};
use crate::store::{ended, erasure};

pub(super) type Queue = mpsc::UnboundedSender<(Ended, oneshot::Sender<()>)>;

#[derive(Clone)]
pub(super) struct Ended {
    pub(super) attempt: Arc<Attempt>,
    pub(super) end: End,
    pub(super) span: Span,
}

/// Each with a channel for the confirmation.
pub(super) type Ends = mpsc::UnboundedReceiver<(Ended, oneshot::Sender<()>)>;

/// Until the channel is closed. Confirms each recorded outcome.
pub(super) async fn record_all(store: &Store, mut ends: Ends) {
    while let Some((ended, answers)) = next_group(&mut ends).await {
        match record(store, &ended).await {
            Ok(()) => answers.into_iter().for_each(|answer| {
                // The attempt may have been cancelled.
                let _ = answer.send(());
            }),
            Err(error) => {
                let mails = ended.len();
                tracing::warn!(%error, mails, "the outcomes of mails cannot be recorded together, recording each alone");
            }
        }
    }
}

async fn next_group(ends: &mut Ends) -> Option<(Vec<Ended>, Vec<oneshot::Sender<()>>)> {
    let mut group = vec![ends.recv().await?];
    // Ready tasks run first, so outcomes of the same moment join this group.
    task::yield_now().await;
    while let Ok(ended) = ends.try_recv() {
        group.push(ended);
    }
    Some(group.into_iter().unzip())
}

/// In one transaction.
pub(super) async fn record(store: &Store, group: &[Ended]) -> Result<(), DbErr> {
    let transaction = store.begin().await?;
    let ends = group.iter().map(|ended| (&*ended.attempt, ended.end));
    let recorded = ended::record(&transaction, ends).await?;
    let mut last_mails = Vec::new();
    for ended in group {
        let id = ended.attempt.letter.id;
        let Some(&recorded_at_ms) = recorded.get(&id) else {
            continue;
        };
        // In the trace of the mail, which began with its cause.
        let span = &ended.span;
        let has_ended = span.in_scope(|| publish(&transaction, ended, recorded_at_ms))?;
        if has_ended && ended.attempt.letter.kind == Kind::AccountDeleted {
            last_mails.push(id);
        }
    }
    if !last_mails.is_empty() {
        erasure::erase_last(&transaction, &last_mails).await?;
    }
    transaction.commit().await
}

/// Returns whether the outcome is final.
fn publish(transaction: &Transaction, ended: &Ended, at_ms: i64) -> Result<bool, DbErr> {
    let letter = &ended.attempt.letter;
    let cause = Cause {
        correlation_id: letter.correlation_id.clone(),
        event_id: Some(letter.event_id),
    };
    match ended.end {
        End::Postponed(..) => return Ok(false),
        End::Sent => {
            let event = NotificationSent {
                notification_id: letter.id.to_string(),
                user_id: letter.user_id.to_string(),
                kind: letter.kind.row().proto.into(),
                event_id: letter.event_id.to_string(),
                send_time: Some(time::timestamp(at_ms)),
            };
            outbox::enqueue(transaction, &event, VERSION, &cause)?;
        }
        End::GivenUp(failure) => {
            let event = NotificationFailed {
                notification_id: letter.id.to_string(),
                user_id: letter.user_id.to_string(),
                kind: letter.kind.row().proto.into(),
                event_id: letter.event_id.to_string(),
                failure: failure.to_string(),
                fail_time: Some(time::timestamp(at_ms)),
            };
            outbox::enqueue(transaction, &event, VERSION, &cause)?;
        }
    }
    Ok(true)
}
