//! The service from outside: over its socket, on both stores, with its broker. `cfg(test)`: lints treat the modules as
//! test code.
#![forbid(unsafe_code)]

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod access;
#[cfg(test)]
mod account;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod create_user;
#[cfg(test)]
mod enumeration;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod get_user;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod login;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod places;
#[cfg(test)]
mod process;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod repeated;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod security_log;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod verification;
