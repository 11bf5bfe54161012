//! The user service in its own process.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<user_service::App>()
}
