//! Handing a finished mail over: to a mail server ([`Smtp`]) or into a folder ([`Files`]).
//!
//! A sender tells how it ended in words of a few kinds, never in the other side's own: what a mail server answers holds
//! addresses, and these words are stored, published and logged.

use std::io;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;

use crate::config::Delivery;
use crate::mail::Mail;

mod files;
mod smtp;

pub use files::Files;
pub use smtp::{Smtp, SmtpServer};

/// Hands mails over, several at the same time. The caller bounds the time: a call that takes too long is dropped, and must leave nothing behind that a
/// later call could trip over.
#[async_trait]
pub trait MailSender: Send + Sync {
    /// Hands `mail` over.
    ///
    /// # Errors
    /// Why it was not, or not for certain, handed over.
    async fn send(&self, mail: &Mail) -> Result<(), SendError>;
}

/// The sender for `delivery`.
///
/// # Errors
/// Where the folder cannot be made. A mail server that is away is no error: mails wait for it.
pub async fn open(delivery: &Delivery) -> anyhow::Result<Arc<dyn MailSender>> {
    Ok(match delivery {
        Delivery::Folder(folder) => {
            let files = Files::open(folder).await.with_context(|| {
                format!(
                    "the folder of mails {} cannot be made; choose another one with MAIL_DIR",
                    folder.display()
                )
            })?;
            Arc::new(files)
        }
        Delivery::Smtp(server) => Arc::new(Smtp::new(server.clone())),
    })
}

/// Whether it is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    Temporary(Failure),
    Permanent(Failure),
}

/// Why a mail was not handed over, in words that name no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the address is none that mail can be sent to")]
    Address,
    #[error("the code in the mail does not work any more")]
    Expired,
    #[error(
        "the code in the mail cannot be opened: MAIL_SEALING_KEY is not the one that the user service has"
    )]
    Sealed,
    #[error("the mail server cannot deliver to addresses with such characters")]
    Unsupported,
    #[error("the mail server refused the mail ({0})")]
    Refused(u16),
    #[error("the mail server could not take the mail yet ({0})")]
    NotYet(u16),
    #[error("the mail server did not let us in ({0})")]
    NotAdmitted(u16),
    #[error("the mail server could not be reached")]
    Unreachable,
    #[error("the connection to the mail server was lost")]
    Interrupted,
    #[error("the mail server did not answer in time")]
    TimedOut,
    #[error("the folder of mails could not be written ({0})")]
    Folder(io::ErrorKind),
}
