//! The state of a relay, of one connection and beyond. The other files have its steps.

use std::sync::Arc;

use tokio::sync::Notify;

use super::config::RelayConfig;
use super::lease::Lease;
use super::standing::Standing;
use super::wake::Others;
use crate::checkpoint::{Checkpoints, Listing};
use crate::connected::{Connections, Link};
use crate::outbox::{self, Aggregate};
use crate::store::Store;
use crate::telemetry::{Instruments, System};
use crate::timer::Timers;
use crate::transport::Transport;
use crate::wakeup::Wakeup;

/// The publisher of one service's outbox.
pub struct Relay {
    pub(super) store: Store,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) system: System,
    pub(super) instruments: Instruments,
    pub(super) config: RelayConfig,
    pub(super) checkpoints: Option<Checkpoints>,
    pub(super) link: Link,
    pub(super) standing: Standing,
    pub(super) committed: Arc<Notify>,
    pub(super) others: Others,
}

/// Confirmed rows must be marked, not published again.
pub(super) struct Progress {
    pub(super) lease: Lease,
    pub(super) wakeup: Wakeup,
    pub(super) timers: Timers,
    pub(super) confirmed: Confirmed,
}

#[derive(Default)]
pub(super) struct Confirmed {
    pub(super) all: Vec<i64>,
    /// The broker did not take these events before, so others may wait behind them.
    pub(super) at_last: Vec<Aggregate>,
}

impl Relay {
    /// A relay from the outbox in `store` to `transport`.
    pub fn new(store: Store, transport: Arc<dyn Transport>, config: RelayConfig) -> Self {
        let committed = store.signal(outbox::SIGNAL);
        let checkpoints = config.checkpoints.clone();
        let checkpoints = checkpoints.map(|(exchanges, pace)| Checkpoints {
            exchanges,
            listing: Listing {
                source: config.service.clone(),
                pace,
                retention: config.retention.unwrap_or_default(),
            },
        });
        Self {
            store,
            system: transport.system(),
            instruments: Instruments::new(),
            transport,
            config,
            checkpoints,
            link: Connections::new().link(),
            standing: Standing::default(),
            committed,
            others: Others::default(),
        }
    }

    pub(crate) fn with_link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }
}
