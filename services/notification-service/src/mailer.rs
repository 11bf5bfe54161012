//! Sends pending mails, several at a time, until each is sent or given up.
//!
//! One statement leases all due mails and counts their attempts. The hand-over happens without an open transaction. The
//! outcome is recorded in a transaction with its event ([`recording`]). If a process dies between hand-over and record,
//! the mail is sent again with the same `Message-ID` and bytes, and `repeats` counts it: mail server and database
//! commit separately.
//!
//! While the database is unavailable after the hand-over, this process does not send the mail again. Another replica
//! may, if it reaches the database first after the lease has ended.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use mail_codes::MailCodes;
use messaging::{Store, Transaction, Wakeup, Work};
use sea_orm::DbErr;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::in_flight::InFlight;
use self::outcomes::Outcomes;
use self::recording::Queue;
use crate::sender::MailSender;
use crate::store::pending;

mod attempt;
mod in_flight;
mod outcomes;
mod recording;
mod schedule;

const SIGNAL: &str = "mails";
/// Mails that are being sent or wait for their record.
const IN_FLIGHT: usize = 16;
/// With less room than this, the next lease waits: a lease is a statement, and an outcome a transaction, for any number
/// of mails. The other half is sent meanwhile.
const LEAST_ROOM: usize = IN_FLIGHT / 2;
/// Hides a leased mail from other replicas, unless its sender extends it: the delay after a crash.
const LEASE: Duration = Duration::from_secs(10);
/// Before an outcome is recorded again, without the database.
const PAUSE: Duration = Duration::from_secs(1);

pub fn wake(transaction: &Transaction) {
    transaction.wake_on_commit(SIGNAL);
}

/// Replicas may run it on the same database.
#[derive(Clone)]
pub struct Mailer {
    store: Store,
    sender: Arc<dyn MailSender>,
    from: Mailbox,
    codes: MailCodes,
    /// For one hand-over.
    timeout: Duration,
    in_flight: InFlight,
    outcomes: Outcomes,
}

impl Mailer {
    pub fn new(
        store: Store,
        sender: Arc<dyn MailSender>,
        from: Mailbox,
        codes: MailCodes,
        timeout: Duration,
    ) -> Self {
        Self {
            store,
            sender,
            from,
            codes,
            timeout,
            in_flight: InFlight::default(),
            outcomes: Outcomes::new(),
        }
    }

    /// After `stop`, leases nothing more, and returns when all attempts in flight have ended.
    pub async fn run(self, stop: CancellationToken) {
        let bound = pending::bound(schedule::LONGEST_DELAY, LEASE);
        let keep = bound.keep(self.store.clone(), stop.clone());
        let keep = ::store::end_soon(&stop, keep);
        // Bounded by the number of mails in flight.
        let (queue, ended) = mpsc::unbounded_channel();
        let store = self.store.clone();
        let record = recording::record_all(&store, ended);
        tokio::join!(self.send_all(queue, &stop), record, keep);
    }

    async fn send_all(self, queue: Queue, stop: &CancellationToken) {
        let wakeup = self.store.wakeup(SIGNAL, pending::due_in_ms());
        let hands = Hands {
            mailer: self,
            queue,
            stop: stop.clone(),
            full: false,
        };
        wakeup.run(hands, stop).await;
    }
}

struct Hands {
    mailer: Mailer,
    queue: Queue,
    stop: CancellationToken,
    /// More mails may be due than there was room for.
    full: bool,
}

impl Work for Hands {
    type Done = ();
    type Error = DbErr;

    /// It does not ask first: the poll and the signals know when mails are due.
    async fn take_up(
        &mut self,
        _: &Wakeup,
        attempts: &mut JoinSet<()>,
    ) -> Result<Option<Duration>, DbErr> {
        let room = IN_FLIGHT.saturating_sub(attempts.len());
        self.full = room < LEAST_ROOM;
        if self.full {
            return Ok(None);
        }
        let mailer = &self.mailer;
        let in_flight = mailer.in_flight.ids();
        let leased = pending::take_up(&mailer.store, LEASE, room, &in_flight).await?;
        self.full = leased.len() == room;
        for attempt in leased {
            let flight = mailer.in_flight.enter(attempt.letter.id);
            let (attempt, queue) = (Arc::new(attempt), self.queue.clone());
            let stop = self.stop.clone();
            attempts.spawn(mailer.clone().attempt(attempt, flight, queue, stop));
        }
        Ok(None)
    }

    fn ended(&mut self, ended: Result<(), JoinError>) -> bool {
        // A bug in one mail must not end the others. Its lease expires, and its attempts are counted.
        if let Err(error) = ended {
            tracing::error!(%error, "the task that sends a mail panicked");
        }
        self.full
    }

    fn failed(&mut self, error: DbErr) {
        tracing::warn!(%error, "cannot query pending mails, retrying");
    }
}
