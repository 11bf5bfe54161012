//! The all-in-one binary as a process: started, called, killed, restarted.

#![expect(
    clippy::unwrap_used,
    reason = "test code only: a panic is how a test fails"
)]

mod alone;
mod broker_password;
mod buf_curl;
mod canary;
mod configuration;
mod dead_letters;
mod demo;
mod examples;
mod full_disk;
mod log_lines;
mod migrate;
mod outside;
mod pgbouncer;
mod private;
mod process;
mod pruning;
mod reconcile;
mod starting;
mod stop;
mod sudden_death;
mod telemetry;
mod topology;
