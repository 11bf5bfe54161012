//! Events from one service's transaction to another's, each exactly once and in its aggregate's order.
//!
//! A command enqueues its event in the transaction that changes its state ([`outbox::enqueue`]); the [`Relay`] publishes it;
//! the [`Consumer`] hands it to the handler in [`Subscriptions`] inside a transaction that also holds the fact that it was
//! seen. Knows no event and no service by name. The transports are [`RabbitMq`](transport::RabbitMq) and
//! [`Embedded`](transport::Embedded).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backlog;
mod config;
mod consumer;
mod engine;
mod inbox;
mod migrations;
pub mod outbox;
mod reconnect;
mod relay;
mod retention;
mod retry;
mod sql;
mod store;
mod stored;
mod subscription;
pub mod timer;
pub mod trace;
pub mod transport;

pub use backlog::OverBudget;
pub use config::{BrokerArgs, EngineArgs};
pub use consumer::{Consumer, ConsumerConfig};
pub use engine::{Engine, EngineConfig, Participant};
pub use migrations::migrations;
pub use outbox::Cause;
pub use relay::{Relay, RelayConfig};
pub use retention::{Retention, RetentionTooShort};
pub use retry::RetryPolicy;
pub use store::{BeginError, Store, Transaction};
pub use subscription::{Call, Delivered, Handle, HandlerError, Subscriptions};
