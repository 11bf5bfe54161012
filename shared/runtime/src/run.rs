//! The whole life of a process.
//!
//! In this order: the configuration, before anything is opened; the umask, so that only the owner may read new files;
//! runtime, TLS provider, telemetry and signals; the service. Telemetry is always flushed. Exit codes: 0 success, 64
//! wrong configuration, the code of an [`ExitWith`], 1 everything else.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::FutureExt;
use rustix::fs::Mode;
use tokio::runtime::Runtime;

use crate::config::{self, Described, LifecycleConfig, Settings, TelemetryConfig};
use crate::exit::ExitWith;
use crate::healthcheck;
use crate::lifecycle::Shutdown;
use crate::telemetry::{self, report};
use crate::tls_provider::install_tls_provider;

const MIGRATE: &str = "migrate";
/// For `--help`.
pub const HINT: &str = "The first argument may be a command: `healthcheck` asks a running server whether it serves (see \
    `healthcheck --help`), `migrate` applies the missing migrations.";

/// For blocking calls at the end.
const STUCK: Duration = Duration::from_millis(50);

/// After the hard step.
const HARD_PATIENCE: Duration = Duration::from_secs(5);

/// Loads the configuration `S` and runs `service` until it returns, unless only [`healthcheck`] was requested. `run`
/// should return soon after `shutdown.soft`, at the latest after `shutdown.hard`.
pub fn main<S, F>(service: &'static str, run: F) -> ExitCode
where
    S: Settings,
    F: AsyncFnOnce(S::Config, Shutdown) -> anyhow::Result<()>,
{
    start::<S, _>(service, std::env::args_os().collect(), run)
}

/// As [`main`]; with `migrate` as the first argument, the program runs `migrate` and ends. `args` begin with the
/// program's name.
pub fn main_with_database<S, M, F>(
    service: &'static str,
    mut args: Vec<OsString>,
    migrate: M,
    run: F,
) -> ExitCode
where
    S: Settings,
    M: AsyncFnOnce(S::Config) -> anyhow::Result<()>,
    F: AsyncFnOnce(S::Config, Shutdown) -> anyhow::Result<()>,
{
    let migrates = args.get(1).is_some_and(|command| command == MIGRATE);
    if migrates {
        args.remove(1);
    }
    start::<S, _>(service, args, async |config, shutdown| {
        if !migrates {
            return run(config, shutdown).await;
        }
        let migrated = shutdown.soft.run_until_cancelled(migrate(config)).await;
        migrated.unwrap_or_else(|| Err(anyhow!("the migration was interrupted")))
    })
}

fn start<S, F>(service: &'static str, args: Vec<OsString>, run: F) -> ExitCode
where
    S: Settings,
    F: AsyncFnOnce(S::Config, Shutdown) -> anyhow::Result<()>,
{
    if let Some(code) = healthcheck::asked(args.iter().cloned(), S::DEFAULT_PORT, 1) {
        return code;
    }
    let (config, described) = match config::load_described::<S>(args) {
        Ok(loaded) => loaded,
        Err(error) => {
            error.print(service);
            return ExitCode::from(error.exit_code());
        }
    };
    let telemetry = S::telemetry(&config).clone();
    let lifecycle = S::lifecycle(&config).clone();
    process(
        service,
        &telemetry,
        &lifecycle,
        &described,
        async |shutdown| run(config, shutdown).await,
    )
}

/// Prints the migrations that a command has applied.
///
/// # Errors
/// If stdout cannot be written.
pub fn report_migrations(service: &str, applied: &[String]) -> anyhow::Result<()> {
    let said = match applied {
        [] => format!("{service}: the schema is up to date"),
        applied => format!("{service}: applied {}", applied.join(", ")),
    };
    answer(&said)
}

/// Writes the answer of a command to stdout. A reader that stops early, such as `head`, is no error.
///
/// # Errors
/// If nothing can be written, as on a full disk.
pub fn answer(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the answer cannot be written"),
    }
}

/// [`main`] after the configuration: for programs with subcommands, which load their own.
pub fn process<F>(
    service: &'static str,
    telemetry: &TelemetryConfig,
    lifecycle: &LifecycleConfig,
    described: &Described,
    run: F,
) -> ExitCode
where
    F: AsyncFnOnce(Shutdown) -> anyhow::Result<()>,
{
    // Before any file is opened and any thread runs: databases, queue files and mails contain personal data.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let (runtime, guard) = match prepare(service, telemetry) {
        Ok(prepared) => prepared,
        // There is no log yet.
        Err(error) => {
            let message = format!("{service} cannot start: {error:#}");
            report::end(telemetry.format, service, &message);
            return ExitWith::code_of(&error).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    described.log();
    let result = runtime.block_on(supervised(lifecycle, run));
    let code = match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{service} failed: {error:#}");
            ExitWith::code_of(&error).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    };
    // While the runtime exists: it sends the last spans and lines.
    drop(guard);
    // A blocking call, such as the look-up of a name, must not keep the process.
    runtime.shutdown_timeout(STUCK);
    code
}

/// At least two workers: with one, a task that blocks its thread for a moment would stop the health service as well.
pub fn runtime() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .enable_all()
        .build()
}

fn prepare(
    service: &'static str,
    config: &TelemetryConfig,
) -> anyhow::Result<(Runtime, telemetry::Guard)> {
    let runtime = runtime().context("cannot start the async runtime")?;
    install_tls_provider();
    let _context = runtime.enter();
    let guard = telemetry::init(config, service)?;
    Ok((runtime, guard))
}

async fn supervised<F>(lifecycle: &LifecycleConfig, run: F) -> anyhow::Result<()>
where
    F: AsyncFnOnce(Shutdown) -> anyhow::Result<()>,
{
    let shutdown = Shutdown::new(lifecycle.shutdown_grace);
    shutdown
        .on_signals()
        .context("cannot install the signal handlers")?;
    let hard = shutdown.hard.clone();
    let overdue = async {
        hard.cancelled().await;
        tokio::time::sleep(HARD_PATIENCE).await;
    };
    tokio::select! {
        ended = AssertUnwindSafe(run(shutdown)).catch_unwind() => {
            // The panic hook has logged it.
            ended.unwrap_or_else(|_| Err(anyhow!("it panicked")))
        }
        () = overdue => Err(anyhow!("it did not end within the grace period")),
    }
}
