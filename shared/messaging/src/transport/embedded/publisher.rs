//! Publishes into the queue file. Concurrent publications share one transaction, and so one disk flush.
//!
//! Guarantee: a publisher that waits for something else, such as its own database, keeps neither the file nor the
//! publications of other services: a task of its own writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use event::Message;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::queue_file::QueueFile;
use crate::transport::{Confirm, Confirmation, Publisher, TransportError};

#[derive(Default)]
pub(super) struct Publications(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Vec<(Message, oneshot::Sender<Answer>)>,
    is_writing: bool,
    /// At most one.
    writers: JoinSet<()>,
}

/// The error as text, because all publications of a transaction share it.
type Answer = Result<Confirmation, String>;

pub(super) struct EmbeddedPublisher {
    pub(super) file: Arc<QueueFile>,
    pub(super) publications: Arc<Publications>,
}

#[async_trait]
impl Publisher for EmbeddedPublisher {
    async fn ready(&self) -> Result<(), TransportError> {
        Ok(())
    }

    async fn publish(&self, message: &Message) -> Result<Confirm, TransportError> {
        let (confirm, confirmed) = oneshot::channel();
        let publications = &self.publications;
        publications.add(message.clone(), confirm, &self.file);
        Ok(Box::pin(async move {
            let answer = confirmed
                .await
                .map_err(|_| failed("its writer has ended"))?;
            answer.map_err(failed)
        }))
    }
}

/// If the writer panics, its publications fail, and the next one starts another writer.
struct Writing<'a>(&'a Publications);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.state();
            state.is_writing = false;
            state.waiting.clear();
        }
    }
}

impl Publications {
    fn add(
        self: &Arc<Self>,
        message: Message,
        confirm: oneshot::Sender<Answer>,
        file: &Arc<QueueFile>,
    ) {
        let mut state = self.state();
        state.waiting.push((message, confirm));
        if state.is_writing {
            return;
        }
        state.is_writing = true;
        while state.writers.try_join_next().is_some() {}
        let (publications, file) = (Arc::clone(self), Arc::clone(file));
        state
            .writers
            .spawn(async move { publications.write_all(&file).await });
    }

    async fn write_all(&self, file: &QueueFile) {
        let _writing = Writing(self);
        // So that a publisher can add all that it has.
        tokio::task::yield_now().await;
        while let Some(batch) = self.next_batch() {
            let (messages, confirms): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let answers: Vec<Answer> = match file.append(&messages).await {
                Ok(routed) => routed.into_iter().map(|it| Ok(confirmation(it))).collect(),
                Err(error) => vec![Err(error.to_string()); messages.len()],
            };
            for (confirm, answer) in confirms.into_iter().zip(answers) {
                // A publisher that has stopped waiting publishes again; consumers drop the duplicate.
                let _ = confirm.send(answer);
            }
        }
    }

    /// `None` ends the writer.
    fn next_batch(&self) -> Option<Vec<(Message, oneshot::Sender<Answer>)>> {
        let mut state = self.state();
        if state.waiting.is_empty() {
            state.is_writing = false;
            return None;
        }
        Some(std::mem::take(&mut state.waiting))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn confirmation(is_routed: bool) -> Confirmation {
    match is_routed {
        true => Confirmation::Routed,
        false => Confirmation::Unrouted,
    }
}

fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TransportError {
    TransportError::new("writing to the queue file", cause)
}
