//! Mails through a mail server, over a few connections that are kept for the next mail.
//!
//! The connections are kept here rather than in lettre's own pool, because that one takes back a connection on which a call
//! was dropped half-way: the next mail would read the answers that were meant for the one before. Here a connection comes
//! back only after a whole conversation; whatever else happens closes it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::AsyncSmtpConnection;

use super::{MailSender, SendError};
use crate::failure::Failure;
use crate::mail::Mail;

mod server;

pub use server::{SmtpServer, check_authorities};

/// An idle connection older than this is not used again: servers and firewalls forget them in silence.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// `530`: nobody may send without logging in, or without TLS. That says something of our settings, nothing of the mail.
const AUTHENTICATION_REQUIRED: u16 = 530;

/// Sends through a mail server.
pub struct Smtp {
    server: SmtpServer,
    /// Never more than were in use at the same time.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    /// Connects when there is something to send.
    pub fn new(server: SmtpServer) -> Self {
        Self {
            server,
            idle: Mutex::default(),
        }
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, SendError> {
        while let Some(mut idle) = self.rested() {
            if idle.since.elapsed() < LONGEST_REST && idle.connection.test_connected().await {
                return Ok(idle.connection);
            }
        }
        let connected = self.server.connect().await;
        // Whatever goes wrong before there is a mail says nothing of the mail, even where the server calls it permanent.
        connected.map_err(|error| {
            let failure = match error.status() {
                Some(code) => Failure::NotAdmitted(code),
                None => {
                    tracing::warn!(%error, server = %self.server, "the mail server cannot be used");
                    Failure::Unreachable
                }
            };
            SendError::Temporary(failure)
        })
    }

    fn rested(&self) -> Option<Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn rest(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(Idle {
            connection,
            since: Instant::now(),
        });
    }
}

#[async_trait]
impl MailSender for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let mut connection = self.connection().await?;
        let sent = connection.send(&mail.envelope, &mail.bytes).await;
        sent.map_err(|error| judge(&error))?;
        self.rest(connection);
        Ok(())
    }
}

/// What the answer to a mail means. Its text is not kept: servers repeat the address in it.
fn judge(error: &Error) -> SendError {
    match error.status().map(u16::from) {
        Some(code @ AUTHENTICATION_REQUIRED) => SendError::Temporary(Failure::NotAdmitted(code)),
        Some(code) if error.is_permanent() => SendError::Permanent(Failure::Refused(code)),
        Some(code) => SendError::Temporary(Failure::NotYet(code)),
        // Found by lettre before it sends: the address needs an extension that the server has not.
        None if error.is_client() => SendError::Permanent(Failure::Unsupported),
        None => SendError::Temporary(Failure::Interrupted),
    }
}
