//! Senders that fail as a test needs it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use notification_service::mail::Mail;
use notification_service::sender::{Files, MailSender, SendError};
use testkit::eventually_is;
use tokio::sync::{Mutex, Semaphore};
use uuid::Uuid;

#[derive(Default)]
pub(crate) struct Scripted {
    /// Of the first mails; later ones succeed.
    pub(crate) outcomes: Mutex<Vec<Result<(), SendError>>>,
    pub(crate) sent: Mutex<Vec<Uuid>>,
}

#[async_trait]
impl MailSender for Scripted {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let mut outcomes = self.outcomes.lock().await;
        if !outcomes.is_empty() {
            return outcomes.remove(0);
        }
        self.sent.lock().await.push(mail.notification_id);
        Ok(())
    }
}

/// Holds mails until the test lets them go.
pub(crate) struct Gate {
    waiting: AtomicUsize,
    pub(crate) most: AtomicUsize,
    opened: Semaphore,
    failure: OnceLock<SendError>,
    pub(crate) sent: Mutex<Vec<Uuid>>,
}

impl Gate {
    pub(crate) fn closed() -> Arc<Self> {
        Arc::new(Self {
            waiting: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            opened: Semaphore::new(0),
            failure: OnceLock::new(),
            sent: Mutex::default(),
        })
    }

    pub(crate) fn fails_with(&self, failure: SendError) {
        self.failure.set(failure).unwrap();
    }

    pub(crate) fn open(&self) {
        self.opened.add_permits(10_000);
    }

    pub(crate) async fn reached_by(&self, count: usize) {
        eventually_is("so many wait at the gate", count, async || {
            self.waiting.load(Ordering::SeqCst)
        })
        .await;
    }
}

#[async_trait]
impl MailSender for Gate {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(waiting, Ordering::SeqCst);
        self.opened.acquire().await.unwrap().forget();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(failure) = self.failure.get() {
            return Err(*failure);
        }
        self.sent.lock().await.push(mail.notification_id);
        Ok(())
    }
}

/// Writes the file, and never returns.
pub(crate) struct DiesAfterSending(pub(crate) Files);

#[async_trait]
impl MailSender for DiesAfterSending {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        self.0.send(mail).await?;
        std::future::pending().await
    }
}

/// Sends each mail, and never returns.
#[derive(Default)]
pub(crate) struct Silent {
    pub(crate) sent: Mutex<Vec<Uuid>>,
}

#[async_trait]
impl MailSender for Silent {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        self.sent.lock().await.push(mail.notification_id);
        std::future::pending().await
    }
}

/// Hangs at this mail, and sends all others.
pub(crate) struct HangsAt(pub(crate) Uuid);

#[async_trait]
impl MailSender for HangsAt {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        if mail.notification_id == self.0 {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}
