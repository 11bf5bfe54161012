//! What the broker says of a connection: whether it takes messages at the moment, and in the end why it has closed it.
//!
//! It blocks publishing connections while it is short of memory or disk. It says so only after a first message, and lapin then writes nothing more, not even what was begun. Such a silence means
//! nothing, so it ends no connection: one that is dropped meanwhile keeps its thread and its socket until the broker takes
//! messages again, and the next one fares no better.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use lapin::{ErrorKind, Event};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::transport::TransportError;

/// Between the failure of a channel and the word of why its connection was lost, which another task takes in.
const EXPLANATION: Duration = Duration::from_millis(100);

/// The broker's last word on a connection. Clones share it.
#[derive(Clone)]
pub(super) struct Blocked {
    reason: watch::Receiver<Option<String>>,
    end: Arc<OnceLock<lapin::Error>>,
}

/// Ends the watch with the connection.
pub(super) struct Watching(AbortHandle);

impl Blocked {
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the connection that owns it, and cannot fail"
    )]
    pub(super) fn watch(connection: &lapin::Connection, name: &str) -> (Self, Watching) {
        let (say, reason) = watch::channel(None);
        let end = Arc::new(OnceLock::new());
        let told = Arc::clone(&end);
        let name = name.to_owned();
        let status = connection.status().clone();
        let mut events = Box::pin(connection.events_listener());
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::ConnectionBlocked(reason) => {
                        tracing::warn!(
                            connection = name,
                            reason,
                            "the broker takes no messages; they wait"
                        );
                        say.send_replace(Some(reason));
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!(connection = name, "the broker takes messages again");
                        say.send_replace(None);
                    }
                    // Whoever uses the connection finds out; whoever waits for it to be unblocked must hear of it here.
                    // A refused declaration costs its channel only.
                    Event::Error(error) if !status.connected() => {
                        let _ = told.set(error);
                        return;
                    }
                    _ => (),
                }
            }
        });
        (Self { reason, end }, Watching(task.abort_handle()))
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits for the loss of the connection.
    pub(super) async fn lost(&self) -> TransportError {
        let mut reason = self.reason.clone();
        while reason.changed().await.is_ok() {}
        self.loss("waiting for something to publish")
    }

    /// Why `action` failed: a channel says no more than that it is closed, where its connection was.
    pub(super) async fn explain(&self, action: &str, error: TransportError) -> TransportError {
        let is_closed = |error: &lapin::Error| {
            matches!(
                error.kind(),
                ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_)
            )
        };
        if !error.cause().is_some_and(is_closed) {
            return error;
        }
        let lost = tokio::time::timeout(EXPLANATION, self.lost()).await;
        lost.map_or(error, |_| self.loss(action))
    }

    fn loss(&self, action: &str) -> TransportError {
        match self.end.get() {
            Some(end) => TransportError::new(action, end.clone()),
            None => TransportError::new(action, "the connection was lost"),
        }
    }

    /// Waits for what the broker has to do within `limit`, and while it takes no messages for as long as that lasts.
    pub(super) async fn outlast<T>(
        &self,
        limit: Duration,
        action: &str,
        future: impl Future<Output = T>,
    ) -> Result<T, TransportError> {
        let mut future = pin!(future);
        loop {
            match tokio::time::timeout(limit, &mut future).await {
                Ok(done) => return Ok(done),
                Err(_) if self.is_blocked() => self.end().await?,
                Err(_) => {
                    let reason = format!("no answer within {limit:?}");
                    return Err(TransportError::new(action, reason));
                }
            }
        }
    }

    /// Waits until the broker takes messages.
    pub(super) async fn end(&self) -> Result<(), TransportError> {
        let unblocked = self
            .reason
            .clone()
            .wait_for(Option::is_none)
            .await
            .map(drop);
        unblocked.map_err(|_| self.loss("waiting for the broker to take messages"))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}
