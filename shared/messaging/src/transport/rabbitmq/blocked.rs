//! Whether the broker takes messages at the moment: it blocks publishing connections while it is short of memory or disk.
//!
//! It says so only after a first message, and lapin then writes nothing more, not even what was begun. Such a silence means
//! nothing, so it ends no connection: one that is dropped meanwhile keeps its thread and its socket until the broker takes
//! messages again, and the next one fares no better.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use lapin::Event;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::transport::TransportError;

/// The broker's last word on a connection. Clones share it.
#[derive(Clone)]
pub(super) struct Blocked {
    reason: watch::Receiver<Option<String>>,
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
                    Event::Error(_) if !status.connected() => return,
                    _ => (),
                }
            }
        });
        (Self { reason }, Watching(task.abort_handle()))
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits for the loss of the connection.
    pub(super) async fn lost(&self) -> TransportError {
        let mut reason = self.reason.clone();
        while reason.changed().await.is_ok() {}
        TransportError::new(
            "waiting for something to publish",
            "the connection was lost",
        )
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
        unblocked.map_err(|_| {
            TransportError::new(
                "waiting for the broker to take messages",
                "the connection was lost",
            )
        })
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}
