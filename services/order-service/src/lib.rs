//! Orders: placed, confirmed, shipped, cancelled, and watched.
//!
//! Owns orders with their lines, and a view of users that it builds from events only. Consumes the events of users,
//! `key.published`, and its own `expiry.elapsed` ([`events`]). Publishes `order.placed`, `order.confirmed`,
//! `order.shipped` and `order.cancelled` ([`changes`]).
//!
//! [`grpc`] receives a call; [`commands`] asks the aggregate ([`order`]) and writes through [`store`]. [`watch`]
//! streams changes to watchers. [`user_deletion`] completes the deletion of a user.

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
pub mod store;
pub mod user_deletion;
pub mod watch;

pub use app::{App, DEFINITION};

pub const NAME: &str = DEFINITION.name;

pub type Args = service::Args<App>;

pub type Config = service::Config<config::OrderConfig>;
