//! The crate from outside: over sockets, on files and servers, and as a process.
//!
//! The modules are test code for the lints as well, therefore `cfg(test)`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod access;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod full_file;
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
mod pgbouncer;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod postgres_tls;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod process;
#[cfg(test)]
mod reflection;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod wire;
#[cfg(test)]
mod writable;
