//! The user service as a process of its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<user_service::App>()
}
