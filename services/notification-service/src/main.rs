//! The notification service as a process of its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    service::main::<notification_service::App>()
}
