//! The whole system in one process, each service in its own process, and the commands for operators.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

use angarium::{
    Args, Command, Config, dead_letters, demo, migrate, reconcile, registry, serve, topology,
};
use anyhow::Context as _;
use runtime::{Settings as _, healthcheck};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let first = args.get(1).and_then(|first| first.to_str());
    if let Some(service) = first.and_then(registry::named) {
        return (service.main)(as_own_program(args));
    }
    let servers = u16::try_from(registry::SERVICES.len()).unwrap_or(u16::MAX);
    if let Some(code) = healthcheck::asked(args.iter().cloned(), Args::DEFAULT_PORT, servers) {
        return code;
    }
    let (config, described) = match runtime::config::load_described::<Args>(args) {
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

/// `angarium` `order-service` … become the arguments of `angarium order-service`.
fn as_own_program(mut args: Vec<OsString>) -> Vec<OsString> {
    let name = args.remove(1);
    args[0].push(" ");
    args[0].push(name);
    args
}

/// Commands that end. An interruption leaves what is committed; the command may be repeated.
async fn ask(config: &Config) -> anyhow::Result<()> {
    match &config.command {
        Command::Migrate => migrate::migrate(config).await,
        Command::Topology(asked) => topology::run(config, asked).await,
        Command::DeadLetters(asked) => dead_letters::run(config, asked).await,
        Command::Reconcile(asked) => reconcile::run(asked).await,
        Command::Serve | Command::Demo => Ok(()),
    }
}
