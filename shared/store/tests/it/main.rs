//! The crate on real files and servers, also while they are full, slow, read-only or unreachable.
//!
//! The modules have `cfg(test)`, so that lints treat them as test code.
#![forbid(unsafe_code)]

#[cfg(test)]
mod full_file;
#[cfg(test)]
mod migrate;
#[cfg(test)]
mod pgbouncer;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod postgres_tls;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sqlite;
#[cfg(test)]
mod transaction;
