//! One attempt to send one mail, and what is made of its end.

use std::convert::Infallible;
use std::time::Duration;

use contracts::notification::v1::{NotificationFailed, NotificationSent};
use messaging::{Cause, outbox, trace};
use sea_orm::DbErr;
use secrecy::SecretString;
use service::time;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::in_flight::Flight;
use super::{LEASE, Mailer, PAUSE, VERSION};
use crate::convert;
use crate::mail;
use crate::notification::Letter;
use crate::sender::{Failure, SendError};
use crate::store::{erasure, pending};

/// The delay after the first failure. It grows threefold, so that all attempts together take about half a day.
const FIRST_DELAY: Duration = Duration::from_secs(10);
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(4 * 3600);
/// After this many a mail is given up.
const ATTEMPTS: i32 = 10;
/// A mail that is older is given up when it fails, whatever its attempts: nobody wants yesterday's confirmation.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

impl Mailer {
    /// Sends `letter` and records how that ended. Until then it is in flight.
    pub(super) async fn attempt(self, letter: Letter, flight: Flight, stop: CancellationToken) {
        let span = tracing::info_span!(
            "send mail",
            otel.kind = "client",
            notification.id = %letter.id,
            event.id = %letter.event_id,
            correlation_id = letter.correlation_id,
            attempt = letter.attempt,
        );
        trace::continue_in(&span, &letter.trace);
        let attempt = async {
            if letter.repeated {
                tracing::warn!("sending a mail again: how the last attempt ended is not known");
            }
            let outcome = self.send(&letter).await;
            self.record(&letter, outcome, &stop).await;
        };
        attempt.instrument(span).await;
        drop(flight);
    }

    async fn send(&self, letter: &Letter) -> Result<(), SendError> {
        let code = self.code(letter).await?;
        let mail = mail::build(letter, &self.from, code.as_ref())
            .map_err(|mail::Unaddressable| SendError::Permanent(Failure::Address))?;
        tokio::select! {
            sent = timeout(self.timeout, self.sender.send(&mail)) => {
                sent.unwrap_or(Err(SendError::Temporary(Failure::TimedOut)))
            }
            never = self.hold(letter) => match never {},
        }
    }

    /// The code of a mail that brings one. It is in this process from here to the hand-over, and stored nowhere.
    async fn code(&self, letter: &Letter) -> Result<Option<SecretString>, SendError> {
        let (Some(code), Some(purpose)) = (&letter.code, letter.kind.code()) else {
            return Ok(None);
        };
        // Without a clock it is sent: whoever takes the code looks at its time as well.
        let now_ms = ::store::now_ms(self.store.connection()).await;
        if now_ms.is_ok_and(|now_ms| now_ms >= code.expires_at_ms) {
            return Err(SendError::Permanent(Failure::Expired));
        }
        // The other service may just be getting the key that this one lacks, so it is worth trying again.
        let opened = self.codes.open(purpose, letter.user_id, &code.sealed);
        opened
            .map(Some)
            .map_err(|_| SendError::Temporary(Failure::Sealed))
    }

    /// Keeps the lease for as long as this is polled.
    async fn hold(&self, letter: &Letter) -> Infallible {
        loop {
            sleep(LEASE / 3).await;
            match self.extend(letter).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("somebody else is sending this mail as well"),
                Err(error) => tracing::warn!(%error, "the lease on a mail cannot be extended"),
            }
        }
    }

    async fn extend(&self, letter: &Letter) -> Result<bool, DbErr> {
        let transaction = self.store.begin().await?;
        let ours = pending::extend_lease(&transaction, letter, LEASE).await?;
        transaction.commit().await?;
        Ok(ours)
    }

    /// Goes on until the outcome is recorded: a database that was away must not make this a second mail. The lease may run out
    /// meanwhile; this process then leaves the mail alone because it is in flight. When the process is to end, one more time
    /// is all that it waits for.
    async fn record(
        &self,
        letter: &Letter,
        outcome: Result<(), SendError>,
        stop: &CancellationToken,
    ) {
        loop {
            let ending = stop.is_cancelled();
            let Err(error) = self.try_record(letter, outcome).await else {
                return;
            };
            tracing::warn!(%error, "how a mail ended cannot be recorded");
            if ending {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(PAUSE) => {}
            }
        }
    }

    async fn try_record(
        &self,
        letter: &Letter,
        outcome: Result<(), SendError>,
    ) -> Result<(), DbErr> {
        let (failure, lasting) = match outcome {
            Ok(()) => return self.sent(letter).await,
            Err(SendError::Permanent(failure)) => (failure, true),
            Err(SendError::Temporary(failure)) => (failure, letter.attempt >= ATTEMPTS),
        };
        let now_ms = ::store::now_ms(self.store.connection()).await?;
        let too_old = now_ms.saturating_sub(letter.created_at_ms) > runtime::millis(LONGEST_AGE);
        if lasting || too_old {
            return self.failed(letter, failure, now_ms).await;
        }
        let delay = delay(letter.attempt, fastrand::f64());
        let transaction = self.store.begin().await?;
        pending::postpone(&transaction, letter, &failure.to_string(), delay).await?;
        transaction.commit().await?;
        self.outcomes.deferred();
        tracing::warn!(%failure, ?delay, "a mail could not be sent, it is tried again");
        Ok(())
    }

    async fn sent(&self, letter: &Letter) -> Result<(), DbErr> {
        let transaction = self.store.begin().await?;
        let now_ms = ::store::now_ms(&transaction).await?;
        if pending::record_sent(&transaction, letter.id, now_ms).await? {
            let event = NotificationSent {
                notification_id: letter.id.to_string(),
                user_id: letter.user_id.to_string(),
                kind: convert::kind(letter.kind).into(),
                event_id: letter.event_id.to_string(),
                send_time: Some(time::timestamp(now_ms)),
            };
            outbox::enqueue(&transaction, &event, VERSION, &cause(letter))?;
            erasure::erase_last(&transaction, letter).await?;
        }
        transaction.commit().await?;
        self.outcomes.sent();
        tracing::info!("a mail was sent");
        Ok(())
    }

    async fn failed(&self, letter: &Letter, failure: Failure, now_ms: i64) -> Result<(), DbErr> {
        let failure = failure.to_string();
        let transaction = self.store.begin().await?;
        if pending::record_failed(&transaction, letter, &failure, now_ms).await? {
            let event = NotificationFailed {
                notification_id: letter.id.to_string(),
                user_id: letter.user_id.to_string(),
                kind: convert::kind(letter.kind).into(),
                event_id: letter.event_id.to_string(),
                failure: failure.clone(),
                fail_time: Some(time::timestamp(now_ms)),
            };
            outbox::enqueue(&transaction, &event, VERSION, &cause(letter))?;
            erasure::erase_last(&transaction, letter).await?;
        }
        transaction.commit().await?;
        self.outcomes.failed();
        tracing::error!(failure, "a mail was given up");
        Ok(())
    }
}

fn cause(letter: &Letter) -> Cause {
    Cause {
        correlation_id: letter.correlation_id.clone(),
        event_id: Some(letter.event_id),
    }
}

/// How long to wait after attempt number `attempt` has failed. `random` (0 to 1) takes away up to a half, so that what failed
/// together does not come back together.
fn delay(attempt: i32, random: f64) -> Duration {
    let steps = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
    let full = FIRST_DELAY
        .saturating_mul(3_u32.saturating_pow(steps))
        .min(LONGEST_DELAY);
    full.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_threefold_up_to_the_longest() {
        let delays = [1, 2, 3, 4, 8, i32::MAX].map(|attempt| delay(attempt, 0.0).as_secs());
        assert_eq!(delays, [10, 30, 90, 270, 4 * 3600, 4 * 3600]);
    }

    #[test]
    fn chance_takes_away_at_most_a_half() {
        assert_eq!(delay(1, 1.0), FIRST_DELAY / 2);
    }

    #[test]
    fn all_attempts_together_take_about_half_a_day() {
        let all: Duration = (1..ATTEMPTS).map(|attempt| delay(attempt, 0.5)).sum();
        let hours = all.as_secs() / 3600;
        assert!((6..=12).contains(&hours), "{hours} h");
    }
}
