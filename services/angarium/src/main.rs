//! The whole system in one process, and the commands for operators.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use angarium::{
    Args, Command, Config, dead_letters, demo, migrate, reconcile, registry, serve, topology,
};
use anyhow::Context as _;
use runtime::{Settings as _, healthcheck};

fn main() -> ExitCode {
    let servers = u16::try_from(registry::SERVICES.len()).unwrap_or(u16::MAX);
    if let Some(code) = healthcheck::asked(std::env::args_os(), Args::DEFAULT_PORT, servers) {
        return code;
    }
    let (config, described) = match runtime::config::load_described::<Args>(std::env::args_os()) {
        Ok(loaded) => loaded,
        Err(error) => {
            error.print("angarium");
            return ExitCode::from(error.exit_code());
        }
    };
    let (telemetry, lifecycle) = (config.telemetry.clone(), config.lifecycle.clone());
    runtime::run::process(
        "angarium",
        &telemetry,
        &lifecycle,
        &described,
        async |shutdown| match config.command {
            Command::Serve => serve::serve(config, shutdown).await,
            Command::Demo => demo::demo(config, shutdown).await,
            _ => {
                let done = shutdown.soft.run_until_cancelled(ask(&config)).await;
                done.context("the command was interrupted")?
            }
        },
    )
}

/// What ends by itself. An interruption leaves what is committed, and the command may be repeated.
async fn ask(config: &Config) -> anyhow::Result<()> {
    match &config.command {
        Command::Migrate => migrate::migrate(config).await,
        Command::Topology(asked) => topology::run(config, asked).await,
        Command::DeadLetters(asked) => dead_letters::run(config, asked).await,
        Command::Reconcile(asked) => reconcile::run(asked).await,
        Command::Serve | Command::Demo => Ok(()),
    }
}
