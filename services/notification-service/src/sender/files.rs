//! Mails as files: `<folder>/<notification_id>.eml`, which every mail program opens.
//!
//! A file appears whole or not at all, and sending a mail twice leaves one.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

use super::{Failure, MailSender, SendError};
use crate::mail::Mail;

/// A folder that takes mails.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The folder at `path`, which is created where it is missing.
    ///
    /// # Errors
    /// Where it cannot be.
    pub async fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path).await?;
        Ok(Self {
            folder: path.to_owned(),
        })
    }

    async fn write(&self, mail: &Mail) -> io::Result<()> {
        let id = mail.notification_id;
        // The same name each time, so that the next attempt overwrites the remains of a crash.
        let unfinished = self.folder.join(format!(".{id}.unfinished"));
        if let Err(error) = write_whole(&unfinished, &mail.bytes).await {
            // Remove the partial mail, because the disk may be full.
            let _ = fs::remove_file(&unfinished).await;
            return Err(error);
        }
        fs::rename(&unfinished, self.folder.join(format!("{id}.eml"))).await?;
        // The name is on the disk only once its folder is.
        fs::File::open(&self.folder).await?.sync_all().await
    }
}

async fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path).await?;
    file.write_all(bytes).await?;
    // `write_all` only hands the bytes to another thread. Only the next flush returns its error.
    file.flush().await?;
    file.sync_all().await
}

#[async_trait]
impl MailSender for Files {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        // A full disk and a missing right are both mended from outside, without a change to the mail.
        self.write(mail)
            .await
            .map_err(|error| SendError::Temporary(Failure::Folder(error.kind())))
    }
}
