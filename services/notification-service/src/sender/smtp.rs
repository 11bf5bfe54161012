//! Mails through a mail server, over a few reused connections.
//!
//! Not lettre's own pool: it takes back a connection on which a call was cancelled half-way, and the next mail would
//! read the answers to the previous one. Here a connection is reused only after a complete conversation.

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

/// Servers and firewalls drop idle connections silently.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// The server requires a login or TLS: about our settings, not the mail.
const AUTHENTICATION_REQUIRED: u16 = 530;

pub struct Smtp {
    server: SmtpServer,
    /// As many as were in use at the same time.
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl Smtp {
    /// Connects on the first mail.
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
        // A failure before the mail is about the server, even if the server calls it permanent.
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

/// Drops the text, because servers repeat the address in it.
fn judge(error: &Error) -> SendError {
    match error.status().map(u16::from) {
        Some(code @ AUTHENTICATION_REQUIRED) => SendError::Temporary(Failure::NotAdmitted(code)),
        Some(code) if error.is_permanent() => SendError::Permanent(Failure::Refused(code)),
        Some(code) => SendError::Temporary(Failure::NotYet(code)),
        // Detected before sending: the address needs an extension that the server lacks.
        None if error.is_client() => SendError::Permanent(Failure::Unsupported),
        None => SendError::Temporary(Failure::Interrupted),
    }
}
