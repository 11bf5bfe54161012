//! Tools for tests: private databases and brokers, services in the test's process, injected faults, and waiting for a
//! fact.
//!
//! Guarantees: resources of two tests never meet, so tests run in parallel. Dropping a value removes its resource.
//! `cargo xtask test` sets the variables that name servers, example clients and programs. A server that a test may kill
//! is a private instance. All functions panic with a readable text: that is how a test fails.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![expect(
    clippy::expect_used,
    reason = "test code only: a panic is how a test fails"
)]

mod blocking;
mod broker;
mod certificates;
mod collector;
mod database;
mod encrypting;
mod environment;
mod eventually;
pub mod examples;
mod locked_down;
mod message;
mod operator;
mod outbox;
mod own_server;
mod pgbouncer;
mod proxy;
mod refusal;
mod round_trips;
mod running;
mod small_disk;
mod stack;
mod statements;
mod tokens;
mod tools;
mod unchecked;
mod value;
mod virtual_host;

pub use broker::{Broker, BrokerKind};
pub use certificates::{Authority, Identity};
pub use collector::{Attributes, Collector, ExportedSpan, Full};
pub use database::{Backup, Database, StoreKind};
pub use encrypting::Encrypting;
pub use environment::amqp_url;
pub use eventually::{eventually, eventually_is};
pub use locked_down::{LockedDown, Operation};
pub use message::{CORRELATION_ID, EVENT_TIME_MS, envelope, message, message_in};
pub use operator::Operator;
pub use outbox::{Promised, outbox};
pub use own_server::{OwnServer, ServerKind};
pub use pgbouncer::PgBouncer;
pub use proxy::Proxy;
pub use refusal::{reason, violated_fields};
pub use round_trips::{Asked, Counted, Limits, RoundTrips};
pub use running::{Running, any_port};
pub use small_disk::SmallDisk;
pub use stack::Stack;
pub use statements::Statements;
pub use tokens::{Tokens, authorized};
pub use tools::Tools;
pub use unchecked::{call_unchecked, call_with_bytes};
pub use value::value;
pub use virtual_host::VirtualHost;
