//! Outbox, relay, consumer and inbox over RabbitMQ or an embedded queue file. The crate's README follows.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod asking;
mod backlog;
mod bounds;
mod checkpoint;
mod config;
mod connected;
mod consumer;
pub mod dead_letters;
pub mod definitions;
mod engine;
mod inbox;
mod migrations;
pub mod outbox;
pub mod pruning;
mod reconnect;
mod relay;
pub mod repair;
mod retention;
mod retry;
mod signals;
mod store;
mod stored;
mod subscription;
mod telemetry;
pub mod timer;
pub mod trace;
mod transaction;
pub mod transport;
mod waits;
mod wakeup;

pub use self::store::{BeginError, Store};
pub use asking::ask_until_answered;
pub use backlog::OverBudget;
pub use bounds::{Bound, TimeForm};
pub use checkpoint::CheckpointPace;
pub use config::{BrokerArgs, BrokerTlsArgs, EngineArgs};
pub use consumer::{Consumer, ConsumerConfig};
pub use engine::{Engine, EngineConfig, Participant};
pub use inbox::erasure::{EraseError, PersonalData, erase_held, erase_late, late_due_in_ms};
pub use migrations::migrations;
pub use outbox::Cause;
pub use relay::{Relay, RelayConfig};
pub use retention::{Retention, RetentionTooShort};
pub use retry::{Backoff, RetryPolicy};
pub use subscription::{
    Advanced, Call, CallBatch, Delivered, Handle, HandleBatch, HandlerError, Received,
    Subscriptions,
};
pub use telemetry::System;
pub use transaction::Transaction;
pub use wakeup::{Wakeup, Woken, Work};
