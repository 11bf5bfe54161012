//! The settings of a consumer.

use std::time::Duration;

use crate::retention::Retention;
use crate::retry::RetryPolicy;

/// The settings of a consumer.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// The maximum number of unacknowledged deliveries.
    pub prefetch: u16,
    /// The number of concurrent transactions.
    pub lanes: usize,
    /// The time after which a handler counts as failed.
    pub handler_time_out: Duration,
    /// When a failed event is retried, and when it becomes a dead letter.
    pub retry: RetryPolicy,
    /// How long the first event of an unknown ordered aggregate waits for earlier ones. Longer than a replica can keep
    /// one: until its heartbeat or its handlers' time-out ends.
    pub baseline_wait: Duration,
    /// How long an event of an unknown type waits for a process that knows it; then it is skipped.
    pub unknown_wait: Duration,
    /// How long an event may arrive after the checkpoint that lists it; then it counts as missing.
    pub missing_after: Duration,
    /// How long the inbox remembers an event: INBOX_RETENTION. Older ones are not compared with checkpoints.
    pub inbox_retention: Duration,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            prefetch: 20,
            lanes: 4,
            handler_time_out: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            baseline_wait: Duration::from_secs(120),
            unknown_wait: Duration::from_secs(3600),
            missing_after: Duration::from_secs(60),
            inbox_retention: Retention::default().inbox,
        }
    }
}
