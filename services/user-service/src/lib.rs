//! Users: registering them, letting them log in, and showing who they are.
//!
//! Owns the users, their addresses and the hashes of their passwords, their sessions, and the keys of access tokens. Consumes
//! `key.requested` ([`events`]); publishes `user.created`, `user.updated`, `user.deleted`, `verification.requested` and `reset.requested`
//! ([`commands`]), and `key.published` ([`keys`]).
//!
//! A call that [`access`] lets in comes in at [`grpc`], which reads it by [`requests`]; it becomes a command in [`commands`],
//! which asks [`throttle`] and the aggregate ([`user`]), hashes through [`hasher`] and writes through [`store`]; [`app`] puts it
//! all together.

#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod clean_up;
pub mod commands;
pub mod config;
pub mod convert;
pub mod error;
pub mod events;
pub mod grpc;
pub mod hasher;
pub mod keys;
pub mod migrations;
pub mod password;
pub mod requests;
pub mod secret;
pub mod store;
pub mod throttle;
pub mod user;

pub use app::{App, DEFINITION};

/// What this service is called in logs, events and connections.
pub const NAME: &str = DEFINITION.name;

/// All flags and variables of the service.
pub type Args = service::Args<App>;

/// Its checked configuration.
pub type Config = service::Config<config::UserConfig>;
