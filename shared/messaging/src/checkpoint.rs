//! Checkpoints: a producer lists what it has published, and each consumer compares the list with its inbox.
//!
//! A confirm proves that one queue took an event, not that each consumer's queue did. Guarantee: an event that does not
//! reach the inbox of a subscribed consumer becomes a row of `angarium_missing`, or its checkpoint one of
//! `angarium_checkpoint_gap`, or its producer counts as silent. No decision compares two clocks: a binding's events are
//! expected from the second checkpoint through it.

use std::time::Duration;

mod announced;
mod compared;
mod forgetting;
mod gaps;
mod listing;
mod publishing;
mod receiving;
mod stream;
mod taking;
mod watch;

pub(crate) use announced::Announced;
pub(crate) use compared::Comparing;
pub(crate) use forgetting::forget;
pub(crate) use listing::Listing;
pub(crate) use publishing::Checkpoints;
pub(crate) use receiving::{Receiving, decode, read};
pub(crate) use watch::{Completeness, Incomplete, count};

#[cfg(test)]
mod plans;

/// The pace of a producer's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointPace {
    /// The interval while there are events to list.
    pub busy: Duration,
    /// The interval without events, by which a consumer notices a silent producer.
    pub idle: Duration,
    /// The most events of one checkpoint; beyond it, the next one follows at once.
    pub most: u16,
    /// The time for the broker's confirm; then it is published again. Shorter than the 30 s after which another replica
    /// takes it over.
    pub confirm: Duration,
}

impl Default for CheckpointPace {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            most: 1000,
            confirm: Duration::from_secs(20),
        }
    }
}
