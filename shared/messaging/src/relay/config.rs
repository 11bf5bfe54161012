//! The settings of a relay.

use std::time::Duration;

use crate::checkpoint::CheckpointPace;

/// The settings of a relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The service that owns the outbox: AMQP `app-id` and CloudEvents `source`.
    pub service: String,
    /// The number of outstanding confirms. Beyond a few hundred, only the latency grows.
    pub window: usize,
    /// OUTBOX_RETENTION, which consumers compare with their retention. `None`: not sent.
    pub retention: Option<Duration>,
    /// The exchanges that get checkpoints, and how often. `None`: consumers cannot know what has not reached them.
    pub checkpoints: Option<(Vec<String>, CheckpointPace)>,
}

impl RelayConfig {
    /// The default: 500 outstanding, and nothing about the retention, no checkpoints.
    pub fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            window: 500,
            retention: None,
            checkpoints: None,
        }
    }
}
