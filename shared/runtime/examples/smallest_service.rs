//! The smallest possible service: configuration, a server with only health and reflection, and an orderly shutdown. The
//! crate's tests run it as a process.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Parser;
use runtime::auth::{Guard, Verifier};
use runtime::config::{
    GrpcArgs, GrpcConfig, LifecycleArgs, LifecycleConfig, Mode, Problems, TelemetryArgs,
    TelemetryConfig,
};
use runtime::{GrpcServer, Health, Settings, Shutdown, SystemClock, Tasks, healthcheck};
use tonic::service::Routes;

#[derive(Parser)]
#[command(name = "smallest-service", version, about, after_help = healthcheck::HINT)]
struct Args {
    #[command(flatten)]
    grpc: GrpcArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
    #[command(flatten)]
    lifecycle: LifecycleArgs,

    /// A secret, to show the sources of secrets
    #[arg(long, env = "SMALLEST_TOKEN")]
    smallest_token: Option<String>,

    /// Fail instead of serving: `error`, `panic`, `task` or `stuck`
    #[arg(long, env = "SMALLEST_FAULT")]
    smallest_fault: Option<String>,
}

struct Config {
    grpc: GrpcConfig,
    telemetry: TelemetryConfig,
    lifecycle: LifecycleConfig,
    fault: Option<String>,
}

impl Settings for Args {
    type Config = Config;
    const DEFAULT_PORT: u16 = 50051;

    fn secrets() -> Vec<&'static str> {
        vec!["smallest_token"]
    }

    fn check(self, problems: &mut Problems) -> Option<Config> {
        let grpc = self.grpc.check(50051, Mode::Development, problems);
        let telemetry = self.telemetry.check(problems);
        let lifecycle = self.lifecycle.check(problems);
        if self.smallest_token.is_some_and(|token| token.len() < 8) {
            problems.add_secret("SMALLEST_TOKEN", "at least 8 characters");
        }
        Some(Config {
            grpc: grpc?,
            telemetry: telemetry?,
            lifecycle: lifecycle?,
            fault: self.smallest_fault,
        })
    }

    fn telemetry(config: &Config) -> &TelemetryConfig {
        &config.telemetry
    }

    fn lifecycle(config: &Config) -> &LifecycleConfig {
        &config.lifecycle
    }
}

fn main() -> ExitCode {
    runtime::main::<Args, _>("smallest-service", run)
}

async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut tasks = Tasks::new(&shutdown);
    match config.fault.as_deref() {
        Some("error") => bail!("the requested fault"),
        Some("panic") => panic!("the requested fault"),
        Some("task") => tasks.spawn("early", async { Ok(()) }),
        Some("stuck") => tasks.spawn("stuck", std::future::pending()),
        _ => {}
    }
    let server = GrpcServer::bind(&config.grpc).await?;
    let health = Health::new(&[]);
    tracing::info!(addr = %server.addr(), "listening");
    tasks.spawn(
        "health",
        health.clone().watch(async || true, shutdown.clone()),
    );
    tasks.spawn("grpc", async move {
        let routes = Routes::default();
        // No method needs a token, so it has no database for keys.
        let verifier = Verifier::new(store::Database::default(), Arc::new(SystemClock));
        let guard = Guard::new(&[], verifier);
        server.serve(routes, guard, health, &[], shutdown).await?;
        Ok(())
    });
    tasks.join().await
}
