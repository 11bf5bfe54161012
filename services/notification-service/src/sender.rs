//! Hands a mail over: to a mail server ([`Smtp`]) or into a folder ([`Files`]).
//!
//! A sender reports the outcome in its own texts, never in those of the mail server: they contain addresses, and the
//! outcome is stored, published and logged.

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

/// Hands mails over, several at a time. The caller drops a call that takes too long; it must not disturb a later call.
#[async_trait]
pub trait MailSender: Send + Sync {
    /// # Errors
    /// Why it was not, or not certainly, handed over.
    async fn send(&self, mail: &Mail) -> Result<(), SendError>;
}

/// # Errors
/// If the folder cannot be created. An unreachable mail server is no error: mails wait for it.
pub async fn open(delivery: &Delivery) -> anyhow::Result<Arc<dyn MailSender>> {
    Ok(match delivery {
        Delivery::Folder(folder) => {
            let files = Files::open(folder).await.with_context(|| {
                format!(
                    "cannot create the mail folder {}; set MAIL_DIR to another folder",
                    folder.display()
                )
            })?;
            Arc::new(files)
        }
        Delivery::Smtp(server) => Arc::new(Smtp::new(server.clone())),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    Temporary(Failure),
    Permanent(Failure),
}
