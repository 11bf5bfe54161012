//! Records how attempts ended, with the events of it: all that ended while the record before was in flight, in one transaction.
//!
//! The first to end is recorded at once, and none waits for company. A group that cannot be recorded is given back: then each of
//! its attempts records itself alone, so that one row that the database refuses holds up no other.

use std::sync::Arc;

use contracts::notification::v1::{NotificationFailed, NotificationSent};
use messaging::{Cause, Store, Transaction, outbox};
use sea_orm::DbErr;
use service::time;
use tokio::sync::{mpsc, oneshot};
use tokio::task;
use tracing::Span;

use crate::convert;
use crate::notification::{Attempt, End, Kind, VERSION};
use crate::store::{ended, erasure};

/// Takes what has ended.
pub(super) type Queue = mpsc::UnboundedSender<(Ended, oneshot::Sender<()>)>;

/// An attempt that has ended, with the span of it.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) attempt: Arc<Attempt>,
    pub(super) end: End,
    pub(super) span: Span,
}

/// What has ended, with the place for the answer.
pub(super) type Ends = mpsc::UnboundedReceiver<(Ended, oneshot::Sender<()>)>;

/// Records what comes, until nothing can come any more. Each is answered once it is recorded; without an answer it is not.
pub(super) async fn record_all(store: &Store, mut ends: Ends) {
    while let Some((ended, answers)) = next_group(&mut ends).await {
        match record(store, &ended).await {
            Ok(()) => answers.into_iter().for_each(|answer| {
                // It is of no interest to an attempt that was given up.
                let _ = answer.send(());
            }),
            Err(error) => {
                let mails = ended.len();
                tracing::warn!(%error, mails, "how mails ended cannot be recorded, each is recorded alone");
            }
        }
    }
}

async fn next_group(ends: &mut Ends) -> Option<(Vec<Ended>, Vec<oneshot::Sender<()>>)> {
    let mut group = vec![ends.recv().await?];
    // Tasks that are ready run first, so those that have ended at the same moment are in. This waits for nothing else.
    task::yield_now().await;
    while let Ok(ended) = ends.try_recv() {
        group.push(ended);
    }
    Some(group.into_iter().unzip())
}

/// Records these ends, in one transaction.
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
        // In the trace of the mail, which began with what it was about.
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

/// Enqueues the event of a mail that has ended for good. Returns whether it has.
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
                kind: convert::kind(letter.kind).into(),
                event_id: letter.event_id.to_string(),
                send_time: Some(time::timestamp(at_ms)),
            };
            outbox::enqueue(transaction, &event, VERSION, &cause)?;
        }
        End::GivenUp(failure) => {
            let event = NotificationFailed {
                notification_id: letter.id.to_string(),
                user_id: letter.user_id.to_string(),
                kind: convert::kind(letter.kind).into(),
                event_id: letter.event_id.to_string(),
                failure: failure.to_string(),
                fail_time: Some(time::timestamp(at_ms)),
            };
            outbox::enqueue(transaction, &event, VERSION, &cause)?;
        }
    }
    Ok(true)
}
