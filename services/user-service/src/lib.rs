//! Users: registration, login and profiles.
//!
//! Owns the users, their addresses and password hashes, their sessions, and the keys of access tokens. Consumes
//! `key.requested` ([`events`]). Publishes `user.created`, `user.updated`, `user.password_changed`,
//! `user.role_changed`, `user.deleted`, `session.started_at_new_place`, `verification.requested` and `reset.requested`
//! ([`commands`]), and `key.published` ([`keys`]).
//!
//! [`access`] admits a call; [`grpc`] reads it with [`requests`]; [`commands`] asks [`throttle`] and the aggregate
//! ([`user`]), hashes with [`hasher`] and writes through [`store`].

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
pub mod places;
pub mod requests;
pub mod secret;
pub mod store;
pub mod throttle;
pub mod user;

pub use app::{App, DEFINITION};

pub const NAME: &str = DEFINITION.name;

pub type Args = service::Args<App>;

pub type Config = service::Config<config::UserConfig>;
