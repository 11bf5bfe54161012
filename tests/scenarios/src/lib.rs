//! What callers go through, by gRPC and by the mails that they get, and by nothing else: so it is the same for services in a
//! test's own process and for those in containers.
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
