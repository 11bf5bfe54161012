//! The whole system in one process, and the commands for operators.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use angarium::{Args, Command, dead_letters, demo, migrate, registry, serve, topology};
use runtime::{Settings as _, healthcheck};

fn main() -> ExitCode {
    let servers = u16::try_from(registry::SERVICES.len()).unwrap_or(u16::MAX);
    if let Some(code) = healthcheck::asked(std::env::args_os(), Args::DEFAULT_PORT, servers) {
        return code;
    }
    let config = match runtime::config::load::<Args>(std::env::args_os()) {
        Ok(config) => config,
        Err(error) => {
            error.print();
            return ExitCode::from(error.exit_code());
        }
    };
    let (telemetry, lifecycle) = (config.telemetry.clone(), config.lifecycle.clone());
    runtime::run::process(
        "angarium",
        &telemetry,
        &lifecycle,
        async |shutdown| match config.command {
            Command::Serve => serve::serve(config, shutdown).await,
            Command::Migrate => migrate::migrate(&config, shutdown).await,
            Command::Demo => demo::demo(config, shutdown).await,
            Command::Topology(ref asked) => topology::run(&config, asked).await,
            Command::DeadLetters(ref asked) => dead_letters::run(&config, asked).await,
        },
    )
}
