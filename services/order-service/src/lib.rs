//! Orders: placed, confirmed, shipped, cancelled, and watched on their way.
//!
//! Owns orders with their lines, and a view of users that it fills from their events alone: it never calls the user service.
//! Consumes the events of users, `key.published`, and `expiry.elapsed` from itself ([`events`]); publishes `order.placed`,
//! `order.confirmed`, `order.shipped` and `order.cancelled` ([`changes`]).
//!
//! A call comes in at [`grpc`], becomes a command in [`commands`], which asks the aggregate ([`order`]) and writes through
//! [`store`]; whoever waits for what is written is told by [`watch`]; what the deletion of a user leaves to be done is done by
//! [`settling`]; [`app`] puts it all together.

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

/// What this service is called in logs, events and connections.
pub const NAME: &str = DEFINITION.name;

/// All flags and variables of the service.
pub type Args = service::Args<App>;

/// Its checked configuration.
pub type Config = service::Config<config::OrderConfig>;
