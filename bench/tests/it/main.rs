//! The bench itself, in its short form: it works, and the services lose nothing under its load.
//!
//! The module is test code for the lints as well, therefore `cfg(test)`.
#![forbid(unsafe_code)]

#[cfg(test)]
mod quick;
