//! The comparison: our services and the floor in turns, each round from scratch, on the same servers.
//!
//! They take turns because the speed of a machine changes within minutes: only adjacent measurements can be compared.
//! Every second round begins with the other system.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::phase::{self, Measured};
use crate::place_order::Shape;
use crate::proc::Memory;
use crate::servers::Servers;
use crate::system::System;
use crate::{floor, machine, ours};

/// The pause between start and measurement, for one-time work.
const REST: Duration = Duration::from_secs(2);

/// What to run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// The duration of each load.
    pub(crate) seconds: u64,
    pub(crate) warm_up_seconds: u64,
    pub(crate) users: usize,
    pub(crate) callers: usize,
    pub(crate) per_second: u32,
    pub(crate) request_ids: bool,
    /// Settings of our services.
    pub(crate) set: Vec<ours::Setting>,
    pub(crate) systems: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The three services.
    Ours,
    /// The same work without everything around it.
    Floor,
}

/// One system in one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) system: Kind,
    pub(crate) number: usize,
    /// By part, after the warm-up and before the first load.
    pub(crate) memory_at_rest: BTreeMap<String, Memory>,
    pub(crate) closed: Measured,
    pub(crate) open: Measured,
    /// Before and after, in megabytes a second.
    pub(crate) speed: [f64; 2],
}

/// Runs all rounds, and prints the progress.
pub(crate) async fn run(plan: &Plan, servers: &Servers) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for number in 0..plan.rounds {
        let mut systems = plan.systems.clone();
        if number % 2 == 1 {
            systems.reverse();
        }
        for system in systems {
            let round = one(plan, servers, system, number)
                .await
                .with_context(|| format!("round {} of {system:?}", number + 1))?;
            eprintln!(
                "round {}/{} {system:?}: {:.0} commands/s, {:.0} effects/s, effect p50 {:.1} ms at {}/s",
                number + 1,
                plan.rounds,
                round.closed.commands_per_s,
                round.closed.effects_per_s,
                round.open.effect_p50_ms,
                plan.per_second
            );
            rounds.push(round);
        }
    }
    Ok(rounds)
}

async fn one(plan: &Plan, servers: &Servers, kind: Kind, number: usize) -> Result<Round> {
    let mut system = match kind {
        Kind::Ours => ours::start(servers, plan.users, &plan.set).await?,
        Kind::Floor => floor::start(servers).await?,
    };
    system.target.request_ids = plan.request_ids;
    phase::warm_up(
        &mut system,
        Duration::from_secs(plan.warm_up_seconds),
        "warm-",
    )
    .await?;
    tokio::time::sleep(REST).await;
    let memory_at_rest = system.memory(servers)?;
    let before = machine::speed();
    let measured = both(plan, servers, &mut system).await;
    let speed = [before, machine::speed()];
    let (closed, open) = measured?;
    system.stop().await?;
    Ok(Round {
        system: kind,
        number,
        memory_at_rest,
        closed,
        open,
        speed,
    })
}

async fn both(plan: &Plan, servers: &Servers, system: &mut System) -> Result<(Measured, Measured)> {
    let duration = Duration::from_secs(plan.seconds);
    let shape = Shape::Closed {
        callers: plan.callers,
    };
    let closed = phase::measure(system, servers, shape, duration, "closed-").await?;
    let shape = Shape::Open {
        per_second: plan.per_second,
    };
    let open = phase::measure(system, servers, shape, duration, "open-").await?;
    Ok((closed, open))
}
