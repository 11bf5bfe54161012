//! Mails as files: `<folder>/<notification_id>.eml`.
//!
//! A file appears whole or not at all; sending a mail twice leaves one file. A mail counts as sent when its folder is
//! on the disk. Mails that arrive while a group is written form the next group, which syncs the folder once.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use async_trait::async_trait;
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::task;
use uuid::Uuid;

use super::{MailSender, SendError};
use crate::failure::Failure;
use crate::mail::Mail;

pub struct Files {
    folder: Arc<Path>,
    waiting: Mutex<Vec<Waiting>>,
    /// Held by the task that writes a group.
    turn: Arc<Turn<()>>,
}

struct Waiting {
    id: Uuid,
    bytes: Vec<u8>,
    written: oneshot::Sender<io::Result<()>>,
}

impl Files {
    /// # Errors
    /// If the folder cannot be created.
    pub async fn open(path: &Path) -> io::Result<Self> {
        tokio::fs::create_dir_all(path).await?;
        Ok(Self {
            folder: path.into(),
            waiting: Mutex::default(),
            turn: Arc::default(),
        })
    }

    async fn write(&self, mail: &Mail) -> io::Result<()> {
        let (written, mut answer) = oneshot::channel();
        self.waiting().push(Waiting {
            id: mail.notification_id,
            bytes: mail.bytes.clone(),
            written,
        });
        // Mails of the same moment join the same group.
        task::yield_now().await;
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // The previous group may have contained this mail.
        if let Ok(written) = answer.try_recv() {
            return written;
        }
        let group = std::mem::take(&mut *self.waiting());
        let folder = Arc::clone(&self.folder);
        // Detached: it continues for the others if this caller is cancelled.
        task::spawn_blocking(move || {
            write_group(&folder, group);
            drop(turn);
        });
        answer
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the mail was not written")))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mail that cannot be written does not affect the others.
fn write_group(folder: &Path, mut group: Vec<Waiting>) {
    // Cancelled mails are retried later.
    group.retain(|mail| !mail.written.is_closed());
    let written = write_side_by_side(folder, &group);
    // The names are on the disk only after the folder is.
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    for (mail, written) in group.into_iter().zip(written) {
        let synced = synced.as_ref().map_err(|error| error.kind().into());
        let _ = mail.written.send(written.and(synced.copied()));
    }
}

/// Each file waits for the disk: in parallel it takes half the time.
fn write_side_by_side(folder: &Path, group: &[Waiting]) -> Vec<io::Result<()>> {
    if let [mail] = group {
        return vec![write_one(folder, mail)];
    }
    thread::scope(|scope| {
        let writing = group.iter().map(|mail| {
            let thread = thread::Builder::new();
            thread.spawn_scoped(scope, move || write_one(folder, mail))
        });
        let writing: Vec<_> = writing.collect();
        let written = writing.into_iter().map(|thread| {
            let died = |_| Err(io::Error::other("the thread that wrote the mail died"));
            thread?.join().unwrap_or_else(died)
        });
        written.collect()
    })
}

fn write_one(folder: &Path, mail: &Waiting) -> io::Result<()> {
    let id = mail.id;
    // The same name each time: the next attempt overwrites the remains of a crash.
    let unfinished = folder.join(format!(".{id}.unfinished"));
    let written = write_whole(&unfinished, &mail.bytes)
        .and_then(|()| fs::rename(&unfinished, folder.join(format!("{id}.eml"))));
    if written.is_err() {
        // The disk may be full.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[async_trait]
impl MailSender for Files {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        // A full disk or a missing permission is fixed from outside.
        self.write(mail)
            .await
            .map_err(|error| SendError::Temporary(Failure::Folder(error.kind())))
    }
}
