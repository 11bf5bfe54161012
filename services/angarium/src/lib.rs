//! All services in one process: on a fresh machine with SQLite files and the embedded transport, in production with
//! PostgreSQL and RabbitMQ. The services are the same as in their own binaries, and know nothing of one another.
//!
//! [`registry`] lists them; [`args`] says what can be configured, [`system`] puts the services together, [`serve`], [`demo`],
//! [`topology`], [`dead_letters`] and [`reconcile`] are the commands.

#![forbid(unsafe_code)]

pub mod args;
pub mod dead_letters;
pub mod demo;
pub mod migrate;
pub mod reconcile;
pub mod registry;
pub mod serve;
pub mod system;
pub mod topology;

pub use args::{Args, Command, Config};
pub use system::System;
