//! One measurement: a load on a system, the wait for its effects, and the cost of both.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::effects::Found;
use crate::place_order::{self, Outcome, Shape};
use crate::proc::{Cores, Memory};
use crate::servers::Servers;
use crate::system::{self, Cpu, DRAIN_LIMIT, System};

/// The pause between two verdicts.
const PAUSE: Duration = Duration::from_secs(1);

/// The figures of one measurement. Every "per event" divides by the orders that were answered OK.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) placed: usize,
    pub(crate) attempts: usize,
    /// By status code and message.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Calls answered OK, from the first call to the last answer.
    pub(crate) commands_per_s: f64,
    /// Mail rows, from the first call to the last row.
    pub(crate) effects_per_s: f64,
    /// Sent mails, from the first call to the last mail. `None`: the system sends no mails.
    pub(crate) sent_per_s: Option<f64>,
    pub command_p50_ms: f64,
    pub command_p99_ms: f64,
    pub(crate) command_max_ms: f64,
    pub effect_p50_ms: f64,
    pub effect_p99_ms: f64,
    /// By part, until the last mail row was inserted.
    pub(crate) cpu_ms_per_event: Cpu,
    /// By part, until the last mail was sent and its event published.
    pub(crate) cpu_ms_per_event_with_mail: Cpu,
    /// By part, at the end of the load.
    pub(crate) memory: BTreeMap<String, Memory>,
    /// The load of other programs, in cores.
    pub(crate) foreign_cores: f64,
    /// The time that the hypervisor took, in cores.
    pub(crate) stolen_cores: f64,
    /// Lost or duplicated effects; empty if there are none.
    pub(crate) wrong: String,
}

/// Runs `shape` for `duration`. Call `n` has `prefix` and `n` as its correlation id.
pub(crate) async fn measure(
    system: &mut System,
    servers: &Servers,
    shape: Shape,
    duration: Duration,
    prefix: &str,
) -> Result<Measured> {
    system.databases.come_to_rest().await?;
    let (cores, began) = (Cores::look()?, Instant::now());
    let before = system.cpu(servers)?;
    let began_us = system.databases.now_us().await?;
    let outcome = place_order::run(&system.target, shape, duration, prefix).await?;
    let memory = system.memory(servers)?;
    let placed = outcome.placed.len();

    let written = system
        .databases
        .all_written(prefix, placed, DRAIN_LIMIT)
        .await;
    system.check()?;
    written.with_context(|| failures(&outcome))?;
    let at_rows = system.cpu(servers)?;
    let (found, last_sent_us) = settled(system, began_us, &outcome, prefix).await?;
    let at_end = system.cpu(servers)?;
    let (foreign_cores, stolen_cores) = foreign(cores, began, &system::used(&before, &at_end))?;

    let (effect_p50_ms, effect_p99_ms) = found.to_effect_ms()?;
    let rate = |until_us: i64| placed as f64 * 1e6 / (until_us - began_us).max(1) as f64;
    let per_event = |after: &Cpu| {
        let used = system::used(&before, after).into_iter();
        used.map(|(name, ms)| (name, ms / placed.max(1) as f64))
            .collect()
    };
    let latency_ms = |us: u64| us as f64 / 1000.0;
    Ok(Measured {
        placed,
        attempts: outcome.attempts,
        commands_per_s: placed as f64 / outcome.took.as_secs_f64(),
        effects_per_s: rate(found.last_us),
        sent_per_s: last_sent_us.map(rate),
        command_p50_ms: latency_ms(outcome.latency.value_at_quantile(0.5)),
        command_p99_ms: latency_ms(outcome.latency.value_at_quantile(0.99)),
        command_max_ms: latency_ms(outcome.latency.max()),
        effect_p50_ms,
        effect_p99_ms,
        cpu_ms_per_event: per_event(&at_rows),
        cpu_ms_per_event_with_mail: per_event(&at_end),
        memory,
        foreign_cores,
        stolen_cores,
        wrong: found.complaint(),
        failed: outcome.failed,
    })
}

/// A load without a measurement, drained: it fills caches, pools and plans.
pub(crate) async fn warm_up(system: &mut System, duration: Duration, prefix: &str) -> Result<()> {
    let shape = Shape::Closed { callers: 8 };
    let outcome = place_order::run(&system.target, shape, duration, prefix).await?;
    let placed = outcome.placed.len();
    let written = system
        .databases
        .all_written(prefix, placed, DRAIN_LIMIT)
        .await;
    system.check()?;
    written.with_context(|| failures(&outcome))?;
    system.databases.all_sent(prefix, DRAIN_LIMIT).await?;
    anyhow::ensure!(
        placed > 0,
        "no call was answered OK; {}",
        failures(&outcome)
    );
    Ok(())
}

/// Waits until everything is sent, and judges. A failed call may have left an order with a mail row, so the number of
/// mail rows can be complete while an acknowledged order still has none. So it checks again.
async fn settled(
    system: &System,
    began_us: i64,
    outcome: &Outcome,
    prefix: &str,
) -> Result<(Found, Option<i64>)> {
    let (databases, sink) = (&system.databases, system.sink.as_ref());
    let began = Instant::now();
    loop {
        let last_sent_us = databases.all_sent(prefix, DRAIN_LIMIT).await?;
        let found = databases.judge(prefix, began_us, outcome, sink).await?;
        if found.findings.lost == 0 || began.elapsed() > DRAIN_LIMIT {
            return Ok((found, last_sent_us));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The load of other programs, and the time that the hypervisor took, both in cores.
fn foreign(before: Cores, began: Instant, ours: &Cpu) -> Result<(f64, f64)> {
    let after = Cores::look()?;
    let elapsed_ms = began.elapsed().as_secs_f64() * 1000.0;
    let ours: f64 = ours.values().sum();
    let busy = ((after.busy_ms - before.busy_ms - ours) / elapsed_ms).max(0.0);
    let stolen = (after.steal_ms - before.steal_ms) / elapsed_ms;
    Ok((busy, stolen))
}

fn failures(outcome: &Outcome) -> String {
    let failed: u64 = outcome.failed.values().sum();
    format!(
        "{failed} of {} calls failed: {:?}",
        outcome.attempts, outcome.failed
    )
}
