//! The test bench of the services: one service in the test's process, on a database and a broker of its own.
//!
//! [`Prepared`] is the service before its start: what it runs on, and settings that a test may still change.
//! [`TestService`] is the running service, with tokens that it accepts, the events that go in and out, and its
//! database. [`stop`](TestService::stop) gives back what it ran on, for the next start.
//!
//! A crate of its own, because `testkit` also serves the crates below the chassis and must not know it. All functions
//! panic with a readable text instead of returning errors: that is how a test fails.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![expect(
    clippy::expect_used,
    reason = "test code only: a panic is how a test fails"
)]

mod correlated;
mod events;
mod prepared;
mod rows;
mod service;
mod subscriber;

pub use correlated::correlated;
pub use prepared::{OwnOf, Prepared, no_broker};
pub use service::TestService;
pub use subscriber::{Subscriber, ignore};
