//! Handing a finished mail over: to a mail server ([`Smtp`]) or into a folder ([`Files`]).
//!
//! A sender tells how it ended in words of a few kinds, never in the other side's own: what a mail server answers holds
//! addresses, and these words are stored, published and logged.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;

use crate::config::Delivery;
use crate::failure::Failure;
use crate::mail::Mail;

mod files;
mod smtp;

pub use files::Files;
pub use smtp::{Smtp, SmtpServer, check_authorities};

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
