//! The crate from outside: over sockets, on files and servers, and as a process.
//!
//! `cfg(test)`: lints treat the modules as test code.
#![forbid(unsafe_code)]

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod access;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod client_errors;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod crowding;
#[cfg(test)]
mod health;
#[cfg(test)]
mod healthcheck;
#[cfg(test)]
mod idempotency;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod page_tokens;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod process;
#[cfg(test)]
mod raw_calls;
#[cfg(test)]
mod reflection;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod writable;
