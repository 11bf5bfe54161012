//! The settings of a relay.

use std::time::Duration;

use crate::checkpoint::CheckpointPace;

/// How a relay works.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The service whose outbox it is: AMQP `app-id` and CloudEvents `source`.
    pub service: String,
    /// How many events may wait for their confirm at once. Past a few hundred only the latency grows.
    pub window: usize,
    /// OUTBOX_RETENTION, for consumers to compare with what they remember. `None`: messages say nothing about it.
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
