//! The order service in its own process.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<order_service::App>()
}
