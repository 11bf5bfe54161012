//! Users: registering them, and showing who they are.
//!
//! Owns the users, their addresses and the hashes of their passwords. Consumes nothing; publishes `user.created`
//! ([`commands`]).
//!
//! A call comes in at [`grpc`], becomes a command in [`commands`], which hashes through [`password`], asks the aggregate
//! ([`user`]) and writes through [`store`]; [`app`] puts it all together.

#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod commands;
pub mod config;
pub mod convert;
pub mod error;
pub mod grpc;
pub mod migrations;
pub mod password;
pub mod store;
pub mod user;

pub use app::App;
pub use config::{Args, Config};

/// What this service is called in logs, events and connections.
pub const NAME: &str = "user-service";
