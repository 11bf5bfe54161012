//! Only the load, against any server with the same contract: for systems outside this repository.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::place_order::{self, Outcome, Shape, Target};

#[derive(clap::Args)]
pub(crate) struct Settings {
    /// The server, as http://host:port
    #[arg(long, value_name = "URL")]
    target: String,
    /// A file with one access token per line, used in turn; without it, calls carry none
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Callers of the closed loop
    #[arg(long, value_name = "N", default_value_t = 32)]
    callers: usize,
    /// Calls per second of the open loop
    #[arg(long, value_name = "N", default_value_t = 200)]
    rate: u32,
    /// Duration of each load in seconds
    #[arg(long, value_name = "N", default_value_t = 20)]
    seconds: u64,
}

/// The table of both loads. It does not check effects.
pub(crate) async fn run(settings: &Settings) -> Result<String> {
    let tokens = settings.tokens.as_ref().map(|file| {
        let text = std::fs::read_to_string(file);
        text.with_context(|| format!("cannot read {}", file.display()))
    });
    let tokens = tokens.transpose()?.unwrap_or_default();
    let tokens = tokens.lines().map(str::to_owned).collect();
    let target = Target::new(&settings.target, tokens)?;
    let mut text = "| load | commands/s | p50 ms | p99 ms | max ms | failed |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let shapes = [
        (
            format!("C={}", settings.callers),
            Shape::Closed {
                callers: settings.callers,
            },
        ),
        (
            format!("{}/s", settings.rate),
            Shape::Open {
                per_second: settings.rate,
            },
        ),
    ];
    let duration = Duration::from_secs(settings.seconds);
    for (title, shape) in shapes {
        let outcome = place_order::run(&target, shape, duration, "drive-").await?;
        anyhow::ensure!(
            !outcome.placed.is_empty(),
            "no call was answered OK: {:?}",
            outcome.failed
        );
        let _ = writeln!(text, "| {title} | {} |", figures(&outcome));
    }
    Ok(text)
}

fn figures(outcome: &Outcome) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    format!(
        "{:.0} | {:.1} | {:.1} | {:.1} | {}",
        outcome.placed.len() as f64 / outcome.took.as_secs_f64(),
        ms(outcome.latency.value_at_quantile(0.5)),
        ms(outcome.latency.value_at_quantile(0.99)),
        ms(outcome.latency.max()),
        outcome.failed.values().sum::<u64>()
    )
}
