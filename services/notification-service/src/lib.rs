//! Notifications: the mails that the events of users and orders call for.
//!
//! Owns the mails, what users want to be told, and a view of users that it fills from their events alone. Consumes the events
//! of users, their verifications and resets, of orders, and of keys ([`events`]); publishes `notification.sent` and
//! `notification.failed` ([`mailer`], [`settling`]).
//!
//! An event's handler writes a mail as a row ([`notify`]), in the transaction of the event; nothing is sent there. The
//! [`mailer`] takes up such rows, has [`mail`] make messages of them, and hands these to a [`sender`]. [`grpc`] shows them and
//! takes what users want to [`commands`]; [`app`] puts it all together.

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

/// What this service is called in logs, events and connections.
pub const NAME: &str = DEFINITION.name;

/// All flags and variables of the service.
pub type Args = service::Args<App>;

/// Its checked configuration.
pub type Config = service::Config<config::NotificationConfig>;
