//! A service's own database, on PostgreSQL or SQLite.
//!
//! Guarantee: a transaction commits whole or not at all, even if a caller gives up, a disk is full, or a server fails
//! over. The crate depends on no other crate of the workspace.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answer;
mod backoff;
mod clock;
mod config;
mod connect;
mod database;
mod database_error;
mod database_url;
mod ddl;
mod doubt;
mod errors;
pub mod guarded;
mod host;
mod migrate;
mod observed;
mod pooler;
mod postgres;
pub mod private;
mod rotation;
mod rounds;
mod sessions;
pub mod sql;
mod sqlite;
mod stop;
mod transaction;
mod words;
mod writable;

pub use clock::now_sql;
pub use config::{DatabaseConfig, Location, Migrate, is_plain_identifier};
pub use connect::{connect, connect_watched, ping};
pub use database::Database;
pub use database_error::DatabaseError;
pub use database_url::check_url;
pub use ddl::create;
pub use doubt::Doubt;
pub use errors::{
    Class, class, is_conflict, is_full, is_transient, is_unavailable, is_unique_violation,
    is_unstorable_text, unique_violation,
};
pub use host::host_name;
pub use migrate::{migrate, migrate_at, ready_schema};
pub use rotation::{read_secret, secret_of};
pub use rounds::Rounds;
pub use sql::now_ms;
pub use stop::end_soon;
pub use transaction::Transaction;
pub use writable::Writable;
