//! Order under everything at once: several relays and consumers, handlers that fail, and processes that are killed.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::{BrokerKind, StoreKind};
use tokio::process::{Child, Command};

use crate::checker::Verdict;
use crate::world::World;

/// Between two kills. Longer than a lease, so that each successor comes to publish.
const GAP: Duration = Duration::from_secs(5);

/// 100 accounts, 100 events for each (10 and 20 for the short form), 4 writers, 3 relays, 2 consumers, one in twenty attempts
/// fails (one in five for the short form, which has no kills).
pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let mut world = World::new(StoreKind::Postgres, BrokerKind::RabbitMq).await?;
    let (run, patience) = (seed.to_string(), patience.to_string());
    let (accounts, commands, failures) = if quick {
        ("10", "200", "20")
    } else {
        ("100", "10000", "5")
    };
    let common = [
        "--accounts",
        accounts,
        "--commands",
        commands,
        "--handler-failures",
        failures,
        "--patience",
        &patience,
    ];
    let start = |world: &World, role: &str| -> Result<Child> {
        let mut command: Command =
            world.ledger(&run, &[&common[..], &["--role", role]].concat())?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("starting the ledger")
    };
    let mut others = Vec::new();
    for role in ["consumer", "consumer", "relay", "relay"] {
        others.push((role, start(&world, role)?));
    }
    let producer = world.ledger(&run, &[&common[..], &["--role", "producer"]].concat())?;

    // The kills go on beside the producer, which ends when all has arrived.
    let mut restarts = Vec::new();
    for role in ["consumer", "relay"] {
        restarts.push((
            role,
            world.ledger(&run, &[&common[..], &["--role", role]].concat())?,
        ));
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let kills = kill_and_restart(&mut others, &mut restarts, &mut random);
    tokio::select! {
        ended = world.run(producer) => {
            ended?;
        }
        killed = kills, if !quick => killed?,
    }
    world.verdict(&run, true).await
}

/// Kills one of them every few seconds, and puts another in its place. Ends only by a failure.
async fn kill_and_restart(
    others: &mut [(&str, Child)],
    restarts: &mut [(&str, Command)],
    random: &mut fastrand::Rng,
) -> Result<()> {
    loop {
        tokio::time::sleep(GAP).await;
        let victim = random.usize(..others.len());
        let (role, process) = &mut others[victim];
        process.kill().await?;
        let again = restarts.iter_mut().find(|(name, _)| name == role);
        let (_, command) = again.context("each role can be started again")?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        *process = command.spawn()?;
    }
}
