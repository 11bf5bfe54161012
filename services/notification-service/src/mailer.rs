//! Sends what handlers have written: each mail once it is due, several at the same time, until it is sent or given up.
//!
//! A mail is taken up in one transaction, which counts the attempt; handed over with no transaction open; and recorded in
//! another one, together with the event that tells of it. A process that dies between the hand-over and its record leaves an
//! attempt without an outcome: the mail is then sent again, with the same `Message-ID` and the same bytes, and the row's
//! `repeats` counts it. This window cannot be closed, as a mail server and a database commit apart.
//!
//! A database that is away after the hand-over, for however long, does not make this process send the mail again: it takes up
//! nothing that it has in hand. Another replica may, where it is the first to be back after the lease has run out.

use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use mail_codes::MailCodes;
use messaging::{Due, Store, Transaction};
use sea_orm::DbErr;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::in_flight::{Flight, InFlight};
use self::outcomes::Outcomes;
use crate::notification::Letter;
use crate::sender::MailSender;
use crate::store::pending;

mod attempt;
mod in_flight;
mod outcomes;

/// The signal that a committed mail raises.
const SIGNAL: &str = "mails";
/// Mails that are being sent at the same time.
const IN_FLIGHT: usize = 8;
/// How long a mail that was taken up is out of sight of other replicas, unless its sender extends it: what a crash costs.
const LEASE: Duration = Duration::from_secs(10);
/// Before the next look, where somebody else is just taking up what is due, or the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// The version of every event here: a notification ends once, and only its end is told.
pub const VERSION: i64 = 1;

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

    /// Runs until `stop`; then takes up nothing more, and returns when what is in flight has ended.
    pub async fn run(self, stop: CancellationToken) {
        let bound = pending::bound(attempt::LONGEST_DELAY, LEASE);
        let keep = bound.keep(self.store.clone(), stop.clone());
        tokio::join!(self.send_all(stop), keep);
    }

    async fn send_all(self, stop: CancellationToken) {
        let question = pending::due_in_ms(self.store.connection());
        let mut due = self.store.due(SIGNAL, question);
        let mut attempts = JoinSet::new();
        while !stop.is_cancelled() {
            let known = match self.take_up(&due, &mut attempts, &stop).await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "pending mails cannot be looked for, trying again");
                    Some(PAUSE)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = attempts.join_next() => noticed(ended),
                _ = due.sleep(known) => {}
            }
        }
        while let Some(ended) = attempts.join_next().await {
            noticed(ended);
        }
    }

    /// Takes up what is due, as far as there is room, and answers for how long nothing more will be.
    async fn take_up(
        &self,
        due: &Due,
        attempts: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<Option<Duration>, DbErr> {
        loop {
            // The end of one of them is awaited as well, and is then the reason to look.
            let room = IN_FLIGHT.saturating_sub(attempts.len());
            if room == 0 {
                return Ok(None);
            }
            let known = due.ask().await?;
            if known != Some(Duration::ZERO) {
                return Ok(known);
            }
            let letters = self.lease(room).await?;
            if letters.is_empty() {
                return Ok(Some(PAUSE));
            }
            for (letter, flight) in letters {
                attempts.spawn(self.clone().attempt(letter, flight, stop.clone()));
            }
        }
    }

    async fn lease(&self, room: usize) -> Result<Vec<(Letter, Flight)>, DbErr> {
        // Before the query: what ends in between has been recorded by then, and is not due.
        let in_flight = self.in_flight.ids();
        let transaction = self.store.begin().await?;
        let letters = pending::take_up(&transaction, LEASE, room, &in_flight).await?;
        let letters = letters
            .into_iter()
            .map(|letter| {
                let flight = self.in_flight.enter(letter.id);
                (letter, flight)
            })
            .collect();
        transaction.commit().await?;
        Ok(letters)
    }
}

/// A bug in one mail must not end all others. Its lease runs out, and its attempts are counted.
fn noticed(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "sending a mail ended before its time");
    }
}
