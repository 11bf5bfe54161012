//! The notification service as a process of its own.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use notification_service::{App, Args};

fn main() -> ExitCode {
    runtime::main_with_database::<Args, _, _>(
        notification_service::NAME,
        async |config| App::migrate(&config.database).await,
        async |config, shutdown| App::build(config).await?.run(shutdown).await,
    )
}
