//! The load generator and the checker of the fault runs, the scenarios and the bench.
//!
//! [`Load`] decides when each call is made. The test program makes the calls and records the answers in [`Answers`]. At
//! the end it reads what is stored, and [`compare`] finds the contradictions.

mod calls;
mod checker;

pub use calls::{Call, Calls, Load};
pub use checker::{Answers, Findings, compare};
