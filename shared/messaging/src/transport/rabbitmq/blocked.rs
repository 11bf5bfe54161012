//! The broker's state of a connection: whether it accepts messages, and finally why it closed the connection.
//!
//! It blocks publishing connections while memory or disk is low, and notifies a connection only after its first
//! message; lapin then writes nothing more, not even a started frame. So silence must not end a connection: a dropped
//! one keeps its thread and socket until the broker accepts messages again.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt as _;
use lapin::{ErrorKind, Event};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::transport::TransportError;

/// For the reason of the lost connection, which another task receives.
const EXPLANATION: Duration = Duration::from_millis(100);

/// Clones share it.
#[derive(Clone)]
pub(super) struct Blocked {
    reason: watch::Receiver<Option<String>>,
    end: Arc<OnceLock<lapin::Error>>,
}

pub(super) struct Watching(AbortHandle);

impl Blocked {
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the connection that owns it, and cannot fail"
    )]
    pub(super) fn watch(connection: &lapin::Connection, name: &str) -> (Self, Watching) {
        let (say, reason) = watch::channel(None);
        let end = Arc::new(OnceLock::new());
        let found = Arc::clone(&end);
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
                            "the broker accepts no messages for now; they wait"
                        );
                        say.send_replace(Some(reason));
                    }
                    Event::ConnectionUnblocked => {
                        tracing::info!(connection = name, "the broker accepts messages again");
                        say.send_replace(None);
                    }
                    // Users of the connection get the error themselves; a waiter for the unblocking gets it here. A
                    // refused declaration only closes its channel.
                    Event::Error(error) if !status.connected() => {
                        let _ = found.set(error);
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

    pub(super) async fn lost(&self) -> TransportError {
        let mut reason = self.reason.clone();
        while reason.changed().await.is_ok() {}
        self.loss("waiting for something to publish")
    }

    /// A channel only reports that it is closed, even if the connection was lost.
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

    /// Does not count the time while the broker is blocked.
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

    pub(super) async fn end(&self) -> Result<(), TransportError> {
        let unblocked = self
            .reason
            .clone()
            .wait_for(Option::is_none)
            .await
            .map(drop);
        unblocked.map_err(|_| self.loss("waiting for the broker to accept messages"))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}
