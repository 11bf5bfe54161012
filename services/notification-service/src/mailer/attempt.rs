//! One attempt to send one mail, and its outcome.

use std::convert::Infallible;
use std::sync::Arc;

use messaging::trace;
use sea_orm::DbErr;
use secrecy::SecretString;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use super::in_flight::Flight;
use super::recording::{self, Ended, Queue};
use super::{LEASE, Mailer, PAUSE, schedule};
use crate::failure::Failure;
use crate::mail;
use crate::notification::{Attempt, End};
use crate::sender::SendError;
use crate::store::pending;

impl Mailer {
    /// Until the outcome is recorded, the mail is in flight and keeps its lease.
    pub(super) async fn attempt(
        self,
        attempt: Arc<Attempt>,
        flight: Flight,
        queue: Queue,
        stop: CancellationToken,
    ) {
        let letter = &attempt.letter;
        let span = tracing::info_span!(
            "send mail",
            otel.kind = "client",
            notification.id = %letter.id,
            event.id = %letter.event_id,
            correlation_id = letter.correlation_id,
            attempt = attempt.number,
        );
        trace::continue_in(&span, &letter.trace);
        let made = async {
            if attempt.repeated {
                tracing::warn!(
                    "sending a mail again: the outcome of an earlier attempt is unknown"
                );
            }
            let outcome = self.send(&attempt).await;
            let ended = Ended {
                end: schedule::end(&attempt, outcome),
                attempt: Arc::clone(&attempt),
                span: Span::current(),
            };
            if self.record(&ended, &queue, &stop).await {
                self.note(ended.end);
            }
        };
        let made = async {
            tokio::select! {
                () = made => {}
                never = self.hold(&attempt) => match never {},
            }
        };
        made.instrument(span).await;
        drop(flight);
    }

    async fn send(&self, attempt: &Attempt) -> Result<(), SendError> {
        let code = self.code(attempt)?;
        let mail = mail::build(&attempt.letter, &self.from, code.as_ref())
            .map_err(|mail::Unaddressable| SendError::Permanent(Failure::Address))?;
        let sent = timeout(self.timeout, self.sender.send(&mail)).await;
        sent.unwrap_or(Err(SendError::Temporary(Failure::TimedOut)))
    }

    /// The code exists in this process from here to the hand-over, and is stored nowhere.
    fn code(&self, attempt: &Attempt) -> Result<Option<SecretString>, SendError> {
        let letter = &attempt.letter;
        let (Some(code), Some(purpose)) = (&letter.code, letter.kind.row().code) else {
            return Ok(None);
        };
        if attempt.now_ms() >= code.expires_at_ms {
            return Err(SendError::Permanent(Failure::Expired));
        }
        // Retry: the user service may already have the new key that this service lacks.
        let opened = self.codes.open(purpose, letter.user_id, &code.sealed);
        opened
            .map(Some)
            .map_err(|_| SendError::Temporary(Failure::Sealed))
    }

    /// Extends the lease as long as this future is polled.
    async fn hold(&self, attempt: &Attempt) -> Infallible {
        loop {
            sleep(LEASE / 3).await;
            match self.extend(attempt).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!(
                    "the lease on a mail is lost: another replica may have sent it, or may send it again"
                ),
                Err(error) => tracing::warn!(%error, "the lease on a mail cannot be extended"),
            }
        }
    }

    async fn extend(&self, attempt: &Attempt) -> Result<bool, DbErr> {
        let transaction = self.store.begin().await?;
        let ours = pending::extend_lease(&transaction, attempt, LEASE).await?;
        transaction.commit().await?;
        Ok(ours)
    }

    /// Retries until the outcome is recorded: an unavailable database must not cause a second mail. The first try is
    /// together with others. After `stop`, it tries only once more. Returns whether it was recorded.
    async fn record(&self, ended: &Ended, queue: &Queue, stop: &CancellationToken) -> bool {
        let (answer, recorded) = oneshot::channel();
        if queue.send((ended.clone(), answer)).is_ok() && recorded.await.is_ok() {
            return true;
        }
        loop {
            let ending = stop.is_cancelled();
            let Err(error) = recording::record(&self.store, std::slice::from_ref(ended)).await
            else {
                return true;
            };
            tracing::warn!(%error, "the outcome of a mail cannot be recorded");
            if ending {
                return false;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(PAUSE) => {}
            }
        }
    }

    fn note(&self, end: End) {
        match end {
            End::Sent => {
                self.outcomes.sent();
                tracing::info!("a mail was sent");
            }
            End::Postponed(failure, delay) => {
                self.outcomes.deferred();
                tracing::warn!(%failure, ?delay, "a mail could not be sent, retrying later");
            }
            End::GivenUp(failure) => {
                self.outcomes.failed();
                tracing::error!(%failure, "a mail was given up");
            }
        }
    }
}
