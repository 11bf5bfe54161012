//! The service from outside: over its socket, on both stores, with its broker.
//!
//! The modules are test code for the lints as well, therefore `cfg(test)`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod create_user;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod get_user;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod process;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod world;
