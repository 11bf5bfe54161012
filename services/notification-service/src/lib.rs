//! Notifications: the mails that events of users and orders cause.
//!
//! Owns the mails, the users' mail preferences, and a view of users that it builds from events only. Consumes the
//! events of users, sessions, verifications, password resets, orders and keys ([`events`]). Publishes `notification.sent` and
//! `notification.failed` ([`mailer`], [`settling`]).
//!
//! A handler only writes a row for a mail ([`notify`]), in the transaction of its event. The [`mailer`] leases such
//! rows, builds messages ([`mail`]) and hands them to a [`sender`]. [`grpc`] serves notifications and preferences
//! ([`commands`]). [`app`] puts it together.

#![forbid(unsafe_code)]

pub mod access;
pub mod app;
pub mod commands;
pub mod config;
pub mod convert;
pub mod error;
pub mod events;
pub mod failure;
pub mod grpc;
pub mod kinds;
pub mod mail;
pub mod mailer;
pub mod migrations;
pub mod notification;
pub mod notify;
pub mod preferences;
pub mod sender;
pub mod settling;
pub mod store;
pub mod templates;

pub use app::{App, DEFINITION};

/// The name in logs, events and connections.
pub const NAME: &str = DEFINITION.name;

/// All flags and variables of the service.
pub type Args = service::Args<App>;

/// Its validated configuration.
pub type Config = service::Config<config::NotificationConfig>;
