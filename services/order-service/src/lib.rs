//! Orders: placing, showing and cancelling them.
//!
//! Owns orders with their lines, and a view of users that it fills from their events alone: it never calls the user service.
//! Consumes `user.created` and `key.published` ([`events`]); publishes `order.placed` and `order.cancelled` ([`commands`]).
//!
//! A call comes in at [`grpc`], becomes a command in [`commands`], which asks the aggregate ([`order`]) and writes through
//! [`store`]; [`app`] puts it all together.

#![forbid(unsafe_code)]

pub mod access;
pub mod app;
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

pub use app::App;
pub use config::{Args, Config};

/// What this service is called in logs, events and connections.
pub const NAME: &str = "order-service";
