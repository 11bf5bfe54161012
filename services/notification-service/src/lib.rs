//! Notifications: the mails that events of users and orders cause.
//!
//! Owns the mails, the users' mail preferences, and a view of users that it builds from events only. Consumes the
//! events of users, sessions, verifications, password resets, orders and keys ([`events`]). Publishes
//! `notification.sent` and `notification.failed` ([`mailer`], [`user_deletion`]).
//!
//! A handler only writes a row for a mail ([`notify`]). The [`mailer`] leases rows, builds messages ([`mail`]) and
//! hands them to a [`sender`].

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
pub mod store;
pub mod templates;
pub mod user_deletion;

pub use app::{App, DEFINITION};

pub const NAME: &str = DEFINITION.name;

pub type Args = service::Args<App>;

pub type Config = service::Config<config::NotificationConfig>;
