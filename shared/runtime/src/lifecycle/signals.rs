//! Maps signals of supervisors and terminals to the two steps of a [`Shutdown`].

use super::Shutdown;

impl Shutdown {
    /// Installs handlers of SIGINT and SIGTERM: the first signal is [`Shutdown::trigger`], the second
    /// [`Shutdown::trigger_hard`]. Call it inside the runtime, before the first long await.
    pub fn on_signals(&self) -> std::io::Result<()> {
        install(self.clone())
    }
}

/// Now: a signal must count while a service still waits for its database.
#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "the listener belongs to the process and ends with its runtime"
)]
fn install(shutdown: Shutdown) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
            };
            answer(&shutdown, name);
        }
    });
    Ok(())
}

/// Only Ctrl-C.
#[cfg(not(unix))]
#[expect(
    clippy::disallowed_methods,
    reason = "the listener belongs to the process and ends with its runtime"
)]
fn install(shutdown: Shutdown) -> std::io::Result<()> {
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            answer(&shutdown, "Ctrl-C");
        }
    });
    Ok(())
}

fn answer(shutdown: &Shutdown, signal: &str) {
    if shutdown.soft.is_cancelled() {
        tracing::warn!("second {signal}: cutting off all work in progress");
        shutdown.trigger_hard();
    } else {
        tracing::info!("{signal}: finishing work in progress; a second signal cuts it off");
        shutdown.trigger();
    }
}
