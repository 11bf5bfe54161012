//! The load generator and the checker of the fault runs, the scenarios and the bench.
//!
//! [`Load`] decides when each call is made. Its users make the calls, record the answers in [`Answers`], read what is
//! stored at the end, and [`compare`] both.

mod calls;
mod checker;

pub use calls::{Call, Calls, Load};
pub use checker::{Answers, Findings, compare};
