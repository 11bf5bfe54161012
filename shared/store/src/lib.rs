//! Code that the services' databases and the queue file of the embedded transport share.
//!
//! [`sqlite`] makes a pool that never commits half of a transaction; [`Doubt`] reports a failed statement
//! to the health check. The crate depends on no other crate of the workspace.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod doubt;
pub mod sqlite;

pub use doubt::Doubt;
