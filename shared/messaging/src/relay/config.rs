//! What a relay publishes, and how much at once.

use std::time::Duration;

use crate::checkpoint::CheckpointPace;

/// The settings of a relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// It owns the outbox: AMQP `app-id` and CloudEvents `source`.
    pub service: String,
    /// Outstanding confirms. Beyond a few hundred, only the latency grows.
    pub window: usize,
    /// OUTBOX_RETENTION, for consumers to compare. `None`: not sent.
    pub retention: Option<Duration>,
    /// The exchanges of checkpoints, and their pace. `None`: consumers cannot know what has not reached them.
    pub checkpoints: Option<(Vec<String>, CheckpointPace)>,
}

impl RelayConfig {
    /// 500 outstanding confirms, no retention, no checkpoints.
    pub fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            window: 500,
            retention: None,
            checkpoints: None,
        }
    }
}
