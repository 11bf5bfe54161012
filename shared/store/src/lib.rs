//! What the databases of the services and the queue file of the embedded transport have in common.
//!
//! [`sqlite`] makes a pool whose connections never commit half of a transaction; [`Doubt`] carries the news that a
//! statement failed from the engine to the health check. The crate depends on no other crate of the workspace.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod doubt;
pub mod sqlite;

pub use doubt::Doubt;
