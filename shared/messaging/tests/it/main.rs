//! The engine from outside, on both stores and both transports.
//!
//! Servers come from `cargo xtask test`. The modules have `cfg(test)`, so that lints treat them as test code.

#![forbid(unsafe_code)]

#[cfg(test)]
mod aging;
#[cfg(test)]
mod allocations;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod columns;
#[cfg(test)]
mod comparing;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod consumer;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod dead;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod declaring;
#[cfg(test)]
mod deferred;
#[cfg(test)]
mod divergence;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod engine;
#[cfg(test)]
mod erasure;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod held;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod log;
#[cfg(test)]
mod missing;
#[cfg(test)]
mod neighbours;
#[cfg(test)]
mod observing;
#[cfg(test)]
mod order;
#[cfg(test)]
mod outbox;
#[cfg(test)]
mod refused;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod state;
#[cfg(test)]
mod store;
#[cfg(test)]
mod timer;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod unknown;
#[cfg(test)]
mod unreadable;
#[cfg(test)]
mod unroutable;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod wakeup;
