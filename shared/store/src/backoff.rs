//! The pauses between attempts to reach a database at the start.

use std::time::Duration;

use backon::ExponentialBuilder;

/// With jitter, so that replicas do not retry in step.
pub(crate) fn backoff(patience: Duration) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_total_delay(Some(patience))
        .without_max_times()
        .with_jitter()
}
