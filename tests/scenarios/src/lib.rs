//! Scenarios from the view of callers, with gRPC and mails only. So they work for services in the test's process and
//! for services in containers.
//!
//! A scenario fails with an error that says what did not happen.

#![forbid(unsafe_code)]

pub mod account;
pub mod caller;
pub mod mailbox;
pub mod ordering;
pub mod patience;
pub mod program;
pub mod workload;

pub use caller::Caller;
pub use mailbox::{Mail, Mailbox};
