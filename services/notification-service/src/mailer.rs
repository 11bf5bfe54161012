//! Sends what handlers have written: each mail once it is due, several at the same time, until it is sent or given up.
//!
//! A mail is leased in one statement with all others that are due, which counts the attempt; handed over with no transaction open;
//! and recorded in a transaction, together with its event. The attempts that end while a record is in flight are recorded
//! together, and none waits for company ([`recording`]). A process that dies between the hand-over and its record leaves an
//! attempt without an outcome: the mail is then sent again, with the same `Message-ID` and the same bytes, and the row's
//! `repeats` counts it. This window cannot be closed, as a mail server and a database commit apart.
//!
//! A database that is away after the hand-over, for however long, does not make this process send the mail again: it leases
//! nothing that it has in hand. Another replica may, where it is the first to be back after the lease has run out.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use mail_codes::MailCodes;
use messaging::{Due, Store, Transaction};
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

/// The signal that a committed mail raises.
const SIGNAL: &str = "mails";
/// Mails that are being sent, or wait for their record, at the same time.
const IN_FLIGHT: usize = 8;
/// How long a leased mail is out of sight of other replicas, unless its sender extends the lease: what a crash costs.
const LEASE: Duration = Duration::from_secs(10);
/// Before the next try, where the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Has the mails that `transaction` writes looked at once it has committed.
pub fn wake(transaction: &Transaction) {
    transaction.wake_on_commit(SIGNAL);
}

/// The worker that sends. Any number of replicas may run one on the same database.
#[derive(Clone)]
pub struct Mailer {
    store: Store,
    sender: Arc<dyn MailSender>,
    from: Mailbox,
    /// Opens the codes that mails bring.
    codes: MailCodes,
    /// For one hand-over.
    timeout: Duration,
    in_flight: InFlight,
    outcomes: Outcomes,
}

/// What the last look for due mails has found.
enum Found {
    /// As many as there was room for, so there may be more.
    Full,
    /// All that were due.
    All,
    /// The database is away.
    Nothing,
}

impl Mailer {
    /// A mailer that sends in the name of `from` and gives a hand-over at most `timeout`.
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

    /// Runs until `stop`; then leases nothing more, and returns when what is in flight has ended.
    pub async fn run(self, stop: CancellationToken) {
        let bound = pending::bound(schedule::LONGEST_DELAY, LEASE);
        let keep = bound.keep(self.store.clone(), stop.clone());
        // It holds as many as are in flight.
        let (queue, ended) = mpsc::unbounded_channel();
        let store = self.store.clone();
        let record = recording::record_all(&store, ended);
        tokio::join!(self.send_all(queue, stop), record, keep);
    }

    async fn send_all(self, queue: Queue, stop: CancellationToken) {
        let mut due = self.store.due(SIGNAL, pending::due_in_ms());
        let mut attempts = JoinSet::new();
        while !stop.is_cancelled() {
            let found = match self.take_up(&queue, &mut attempts, &stop).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, "pending mails cannot be looked for, trying again");
                    Found::Nothing
                }
            };
            let more = more_to_do(&mut due, &found, &mut attempts);
            stop.run_until_cancelled(more).await;
        }
        while let Some(ended) = attempts.join_next().await {
            noticed(ended);
        }
    }

    /// Leases what is due, as far as there is room, and has it sent.
    async fn take_up(
        &self,
        queue: &Queue,
        attempts: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<Found, DbErr> {
        let room = IN_FLIGHT.saturating_sub(attempts.len());
        if room == 0 {
            return Ok(Found::Full);
        }
        let in_flight = self.in_flight.ids();
        let leased = pending::take_up(&self.store, LEASE, room, &in_flight).await?;
        let found = if leased.len() == room {
            Found::Full
        } else {
            Found::All
        };
        for attempt in leased {
            let flight = self.in_flight.enter(attempt.letter.id);
            let attempt = Arc::new(attempt);
            attempts.spawn(
                self.clone()
                    .attempt(attempt, flight, queue.clone(), stop.clone()),
            );
        }
        Ok(found)
    }
}

/// Waits until there may be something to lease. The look that all workers share knows when the next mail is due.
async fn more_to_do(due: &mut Due, found: &Found, attempts: &mut JoinSet<()>) {
    let known = matches!(found, Found::Nothing).then_some(PAUSE);
    // One sleep, however many attempts end: it remembers what the look has seen.
    let mut sleep = pin!(due.sleep(known));
    loop {
        tokio::select! {
            Some(ended) = attempts.join_next() => {
                noticed(ended);
                // Those that were recorded together end together, and make room together.
                while let Some(ended) = attempts.try_join_next() {
                    noticed(ended);
                }
                if matches!(found, Found::Full) {
                    return;
                }
            }
            _ = &mut sleep => return,
        }
    }
}

/// A bug in one mail must not end all others. Its lease runs out, and its attempts are counted.
fn noticed(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "sending a mail ended before its time");
    }
}
