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
use messaging::{Delivered, Store, Transaction, trace};
use runtime::database;
use sea_orm::DbErr;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::in_flight::{Flight, InFlight};
use crate::notification::{Content, Kind, Letter, Recipient};
use crate::sender::MailSender;
use crate::store;
use crate::store::pending;
use crate::templates::one_line;

mod attempt;
mod in_flight;

/// The signal that a committed mail raises.
const SIGNAL: &str = "mails";
/// Mails that are being sent at the same time.
const IN_FLIGHT: usize = 8;
/// How long a mail that was taken up is out of sight of other replicas, unless its sender extends it: what a crash costs.
const LEASE: Duration = Duration::from_secs(10);
/// How often to look without a reason to: for the mails of a replica that has died.
const POLL: Duration = Duration::from_secs(30);
/// Before the next look, where somebody else is just taking up what is due, or the database is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes a mail that goes out once `transaction` has committed. For an event's handler, which sends nothing itself.
///
/// # Errors
/// Where the database refuses the row.
pub async fn enqueue(
    transaction: &Transaction,
    recipient: &Recipient,
    kind: Kind,
    content: Content,
    delivered: &Delivered,
) -> Result<(), DbErr> {
    let letter = Letter {
        id: Uuid::now_v7(),
        user_id: recipient.user_id,
        kind,
        event_id: delivered.envelope.id,
        email: recipient.email.clone(),
        display_name: one_line(&recipient.display_name),
        subject: content.subject.to_owned(),
        text: content.text,
        html: content.html,
        created_at_ms: database::now_ms(&**transaction).await?,
        correlation_id: delivered.envelope.correlation_id.clone(),
        trace: trace::current(),
        attempt: 0,
        repeated: false,
    };
    store::insert_letter(&**transaction, &letter).await?;
    transaction.wake_on_commit(SIGNAL);
    Ok(())
}

/// The worker that sends. Any number of replicas may run one on the same database.
#[derive(Clone)]
pub struct Mailer {
    store: Store,
    sender: Arc<dyn MailSender>,
    from: Mailbox,
    /// For one hand-over.
    timeout: Duration,
    in_flight: InFlight,
}

impl Mailer {
    /// A mailer that sends in the name of `from` and gives a hand-over at most `timeout`.
    pub fn new(
        store: Store,
        sender: Arc<dyn MailSender>,
        from: Mailbox,
        timeout: Duration,
    ) -> Self {
        Self {
            store,
            sender,
            from,
            timeout,
            in_flight: InFlight::default(),
        }
    }

    /// Runs until `stop`; then takes up nothing more, and returns when what is in flight has ended.
    pub async fn run(self, stop: CancellationToken) {
        let signal = self.store.signal(SIGNAL);
        let mut attempts = JoinSet::new();
        while !stop.is_cancelled() {
            let pause = match self.take_up(&mut attempts, &stop).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "pending mails cannot be looked for, trying again");
                    PAUSE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = attempts.join_next() => noticed(ended),
                () = signal.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = attempts.join_next().await {
            noticed(ended);
        }
    }

    /// Takes up what is due, as far as there is room, and answers when to look again.
    async fn take_up(
        &self,
        attempts: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<Duration, DbErr> {
        loop {
            // The end of one of them is awaited as well, and is then the reason to look.
            let room = IN_FLIGHT.saturating_sub(attempts.len());
            if room == 0 {
                return Ok(POLL);
            }
            match pending::until_due(self.store.connection()).await? {
                None => return Ok(POLL),
                Some(wait) if !wait.is_zero() => return Ok(wait.min(POLL)),
                Some(_) => {}
            }
            let letters = self.lease(room).await?;
            if letters.is_empty() {
                return Ok(PAUSE);
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
