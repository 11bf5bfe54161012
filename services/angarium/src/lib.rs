//! All services in one process: with SQLite files and the embedded transport on a new machine, with PostgreSQL and
//! RabbitMQ in production.
//!
//! [`registry`] lists them, [`args`] has the settings, [`system`] puts the services together. [`serve`], [`demo`],
//! [`migrate`], [`topology`], [`dead_letters`] and [`reconcile`] are the commands.

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
