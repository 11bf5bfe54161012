//! What tests and tools start on this machine: cargo, programs, and private instances of PostgreSQL and RabbitMQ.
//!
//! Guarantee: nothing outlives the process that started it. Each child has a process group of its own. Its owner ends the group
//! when it drops the child; a small shell script (`guard.sh`) ends it when the owner was killed.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "tools say what they start and what is left"
)]

pub mod apt;
mod group;
mod guard;
mod programs;
mod run;
mod server;
mod stop;
pub mod workspace;

pub use group::POLL;
pub use programs::find;
pub use run::{code, output, run};
pub use server::{Kind, Server};
pub use stop::{Stop, Stopped};
