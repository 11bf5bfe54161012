//! Orders: placed, confirmed, shipped, cancelled, and watched.
//!
//! Owns orders with their lines, and a view of users that it builds from events only: it never calls the user service.
//! Consumes the events of users, `key.published`, and its own `expiry.elapsed` ([`events`]). Publishes `order.placed`,
//! `order.confirmed`, `order.shipped` and `order.cancelled` ([`changes`]).
//!
//! [`grpc`] receives a call; [`commands`] runs it as a command, which asks the aggregate ([`order`]) and writes through
//! [`store`]. [`watch`] streams changes to watchers. [`settling`] completes the deletion of a user. [`app`] puts it
//! together.

#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod changes;
pub mod commands;
pub mod config;
pub mod convert;
pub mod error;
pub mod events;
pub mod grpc;
pub mod migrations;
pub mod money;
pub mod order;
pub mod settling;
pub mod store;
pub mod watch;

pub use app::{App, DEFINITION};

/// The name in logs, events and connections.
pub const NAME: &str = DEFINITION.name;

/// All flags and variables of the service.
pub type Args = service::Args<App>;

/// Its validated configuration.
pub type Config = service::Config<config::OrderConfig>;
