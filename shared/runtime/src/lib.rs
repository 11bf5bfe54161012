//! The platform under every service: configuration, telemetry, lifecycle, gRPC server, access, health and database.
//!
//! It knows no service, event or broker; the crate `service` connects it with them.
#![forbid(unsafe_code)]

pub mod address;
pub mod auth;
pub mod clock;
pub mod config;
pub mod etag;
mod exit;
pub mod field_mask;
pub mod grpc;
pub mod health;
pub mod healthcheck;
pub mod idempotency;
pub mod lifecycle;
mod migrations;
pub mod page;
pub mod page_token;
pub mod run;
pub mod sealed;
pub mod serving;
pub mod slots;
pub mod status;
pub mod telemetry;
mod tls_provider;

pub use address::ClientAddress;
pub use clock::{Clock, SystemClock, TestClock, millis};
pub use config::Settings;
pub use exit::ExitWith;
pub use field_mask::FieldMask;
pub use grpc::GrpcServer;
pub use health::Health;
pub use lifecycle::{Shutdown, Tasks};
pub use migrations::migrations;
pub use page::Page;
pub use page_token::PageTokens;
pub use run::{main, main_with_database};
pub use serving::{Service, Serving};
pub use tls_provider::install_tls_provider;
