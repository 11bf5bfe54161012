//! The lanes of one connection: deliveries are hashed to them by aggregate, so one aggregate stays in order and
//! different ones run in parallel.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use crate::transport::{Delivery, TransportError};

const BROKEN: &str = "a lane failed; its deliveries come again";

pub(super) struct Lanes {
    deliveries: Vec<mpsc::Sender<Delivery>>,
    running: JoinSet<()>,
}

impl Lanes {
    pub(super) fn start(
        count: usize,
        prefetch: u16,
        lane: impl Fn() -> Lane,
        stop: &CancellationToken,
    ) -> Self {
        let mut running = JoinSet::new();
        let deliveries = (0..count.max(1)).map(|_| {
            // Never full: the prefetch limits the unacknowledged deliveries.
            let (deal, dealt) = mpsc::channel(prefetch.max(1).into());
            running.spawn(lane().run(dealt, stop.clone()));
            deal
        });
        Self {
            deliveries: deliveries.collect(),
            running,
        }
    }

    pub(super) async fn deal(&self, delivery: Delivery) {
        let mut hasher = DefaultHasher::new();
        event::partition_key(&delivery.message).hash(&mut hasher);
        let lanes = self.deliveries.len();
        let index = usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0);
        // Its deliveries stay unacknowledged and come again.
        let _ = self.deliveries[index].send(delivery).await;
    }

    /// A lane ends on its own only after `close`.
    pub(super) async fn broken(&mut self) -> TransportError {
        match self.running.join_next().await {
            Some(Err(error)) => TransportError::new(BROKEN, error),
            Some(Ok(())) => TransportError::new(BROKEN, "it has ended"),
            None => std::future::pending().await,
        }
    }

    pub(super) fn close(&mut self) {
        self.deliveries.clear();
    }

    pub(super) async fn ended(&mut self) {
        while let Some(lane) = self.running.join_next().await {
            if let Err(error) = lane {
                tracing::error!(%error, "{BROKEN}");
            }
        }
    }
}
