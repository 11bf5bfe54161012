//! What tests need and the system does not: databases and brokers of their own, services in the test's process, faults on
//! demand, and a way to wait for a fact.
//!
//! Guarantees: nothing that two tests make can meet, so tests run in parallel; what a test made is gone when its value is
//! dropped. Servers come from `ANGARIUM_TEST_POSTGRES_URL`, `ANGARIUM_TEST_AMQP_URL`, `ANGARIUM_TEST_RABBITMQCTL` and, for those
//! that a test may end, `ANGARIUM_TEST_OWN_SERVER`; the examples in other languages from `ANGARIUM_TEST_CLIENTS`.
//! `cargo xtask test` sets them all.
//! Everything panics with a readable text instead of returning an error: that is how a test fails.

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
mod examples;
mod locked_down;
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
mod unchecked;
mod virtual_host;

pub use broker::{Broker, BrokerKind};
pub use certificates::{Authority, Identity};
pub use collector::{Attributes, Collector, ExportedSpan};
pub use database::{Database, StoreKind};
pub use encrypting::Encrypting;
pub use environment::amqp_url;
pub use eventually::{eventually, eventually_is};
pub use examples::Examples;
pub use locked_down::{LockedDown, Operation};
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
pub use unchecked::call_unchecked;
pub use virtual_host::VirtualHost;
