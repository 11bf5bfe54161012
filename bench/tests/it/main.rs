//! The bench in its short form: it works, and the services lose nothing under its load.
//!
//! The module has `cfg(test)`, so that lints treat it as test code.
#![forbid(unsafe_code)]

#[cfg(test)]
mod quick;
