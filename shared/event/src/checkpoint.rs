//! A checkpoint: the numbered list of the events that a producer has published since the one before.
//!
//! It travels like an event, behind the events that it lists, but changes no aggregate. `checkpoint.proto` is its
//! contract; a test of `contracts` compares both.

use uuid::Uuid;

/// The protobuf full name of [`Checkpoint`], as AMQP's `type` has it.
pub const CHECKPOINT_TYPE: &str = "angarium.checkpoint.v1.Checkpoint";

/// The routing key of checkpoints, on each exchange of a producer. No event has it.
pub const CHECKPOINT_KEY: &str = "checkpoint.taken";

/// What a producer has published to one exchange since its last checkpoint.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Checkpoint {
    /// The exchange.
    #[prost(string, tag = "1")]
    pub exchange: String,
    /// 1, 2, 3 … without gaps.
    #[prost(int64, tag = "2")]
    pub number: i64,
    /// Grows with each number. A repeated number with a greater stamp is another checkpoint: the producer has lost the
    /// first one with its database.
    #[prost(int64, tag = "3")]
    pub stamp: i64,
    /// When the oldest of the events was published, in Unix milliseconds by the producer's clock. Zero without events.
    #[prost(int64, tag = "4")]
    pub oldest_published_ms: i64,
    /// The longest time until the next one, in seconds.
    #[prost(int64, tag = "5")]
    pub interval_s: i64,
    /// For how long the producer keeps a published event, in seconds.
    #[prost(int64, tag = "6")]
    pub retention_s: i64,
    /// The events, by type.
    #[prost(message, repeated, tag = "7")]
    pub published: Vec<Published>,
}

/// The events of one type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Published {
    /// The protobuf full name.
    #[prost(string, tag = "1")]
    pub event_type: String,
    /// By which a queue is bound for them.
    #[prost(string, tag = "2")]
    pub routing_key: String,
    /// The ids, 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub event_ids: Vec<Vec<u8>>,
}

impl Published {
    /// The ids. `None` where one of them is no UUID.
    pub fn ids(&self) -> Option<Vec<Uuid>> {
        let ids = self.event_ids.iter();
        ids.map(|id| Uuid::from_slice(id).ok()).collect()
    }
}

impl prost::Name for Checkpoint {
    const NAME: &'static str = "Checkpoint";
    const PACKAGE: &'static str = "angarium.checkpoint.v1";
}

#[cfg(test)]
mod tests {
    use prost::Name as _;

    use super::*;

    #[test]
    fn the_type_on_the_wire_is_the_full_name() {
        assert_eq!(Checkpoint::full_name(), CHECKPOINT_TYPE);
    }

    #[test]
    fn an_id_that_is_no_uuid_is_noticed() {
        let published = |event_ids| Published {
            event_ids,
            ..Published::default()
        };
        let id = Uuid::now_v7();
        assert_eq!(published(vec![id.into()]).ids(), Some(vec![id]));
        assert_eq!(published(vec![vec![1, 2]]).ids(), None);
    }
}
