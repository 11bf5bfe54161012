//! A broker that is closed, deleted from, locked, restarted and killed under load: calls go on, and nothing is lost.
//!
//! It is a node of the run's own where one can be started. Where not, the broker of the tests is used, in a virtual host of
//! the run's own, and what would end it is left out and said.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{Broker, Database, Operator, OwnServer, ServerKind, StoreKind, VirtualHost};

use crate::checker::Verdict;
use crate::load::Load;
use crate::watch::{Recovery, Watch};
use crate::world::World;

mod deleted_queue;
mod repaired;

/// How RabbitMQ tells somebody that it does not let them in.
const REFUSED: &str = "ACCESS_REFUSED";
/// Who has a connection under load, as the log names them.
const CONNECTED: [&str; 2] = ["the relay", "the consumer"];
/// Of what was committed while nothing could be published.
const MOST: f64 = 0.9;

/// Of a broker that is there again.
pub(crate) const RECOVERY: Recovery = Recovery {
    resumes: Duration::from_secs(15),
    drains: Duration::from_secs(60),
};

/// How much of each.
struct Plan {
    closes: u32,
    restarts: u32,
    kills: u32,
    outage: Duration,
    /// How long nobody is let in.
    locked: Duration,
    /// Commands a second.
    rate: u32,
    /// The share of them that even a busy machine takes.
    pace: f64,
}

impl Plan {
    fn new(quick: bool) -> Self {
        if quick {
            return Self {
                closes: 2,
                restarts: 0,
                // The outage begins with one.
                kills: 0,
                outage: Duration::from_secs(3),
                locked: Duration::from_secs(1),
                rate: 40,
                pace: 0.5,
            };
        }
        Self {
            closes: 50,
            restarts: 5,
            kills: 20,
            outage: Duration::from_secs(120),
            locked: Duration::from_secs(20),
            rate: 40,
            pace: 0.9,
        }
    }
}

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let plan = Plan::new(quick);
    let mut left_out = BTreeSet::new();
    let mut own = match OwnServer::start(ServerKind::RabbitMq).await {
        Ok(server) => Some(server),
        Err(reason) => {
            println!(
                "broker: no restart, no kill, no outage: there is no broker of its own ({reason})"
            );
            left_out.extend(["restarts", "kills", "outage"]);
            None
        }
    };
    let host = virtual_host(own.as_ref()).await?;
    let databases = [
        Database::create(StoreKind::Postgres).await,
        Database::create(StoreKind::Postgres).await,
    ];
    let broker = match &host {
        Some(host) => Broker::of(host),
        None => {
            println!(
                "broker: no closed connection, no password: ANGARIUM_TEST_RABBITMQCTL is not set"
            );
            left_out.extend(["closed connections", "another password"]);
            Broker::create(testkit::BrokerKind::RabbitMq).await
        }
    };
    let mut world = World::on(databases, Some(broker)).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let rate = plan.rate.to_string();
    let args = ["--rate", &rate, "--writers", "8", "--accounts", "20"];
    let mut load = world.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&world, "broker").await?;
    // Before anything is broken there is something to break.
    watch
        .recovers(&mut load, RECOVERY, &mut Recovery::none())
        .await?;

    if let Some(host) = &host {
        closed_connections(host, &plan, &mut load, &mut watch).await?;
        changed_password(host, &plan, &mut load, &mut watch).await?;
    }
    deleted_queue::run(&world, &mut load, &mut watch).await?;
    if let Some(server) = &mut own {
        restarts(server, &plan, &mut load, &mut watch).await?;
        outage(server, &plan, &mut load, &mut watch).await?;
    }
    world.end(load, patience).await?;
    let verdict = world.verdict(&run, true).await?;
    let verdict = watch.close(verdict).await?;
    Ok(Verdict {
        left_out,
        ..verdict
    })
}

async fn virtual_host(own: Option<&OwnServer>) -> Result<Option<VirtualHost>> {
    if let Some(server) = own {
        let host = VirtualHost::create(server.operator(), server.url()).await;
        return Ok(Some(host));
    }
    let Some(operator) = Operator::if_any() else {
        return Ok(None);
    };
    let server = testkit::amqp_url();
    Ok(Some(VirtualHost::create(&operator, &server).await))
}

async fn closed_connections(
    host: &VirtualHost,
    plan: &Plan,
    load: &mut Load,
    watch: &mut Watch,
) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let mut closed = 0;
    for _ in 0..plan.closes {
        let before = CONNECTED.map(|who| load.starts_over(who));
        host.close_connections().await;
        // Those that were open have noticed, so what comes now comes by new ones. What they hear differs: the close itself, or
        // that nothing can be sent any more.
        let mut noticed = 0;
        for (who, before) in CONNECTED.into_iter().zip(before) {
            noticed += usize::from(started_over(load, who, before?).await? > 0);
        }
        closed += usize::from(noticed == CONNECTED.len());
        if !watch.recovers(load, RECOVERY, &mut longest).await? {
            break;
        }
    }
    watch.judge(
        closed == plan.closes as usize,
        &format!(
            "all connections closed by the broker: both services noticed it {closed} of {} times",
            plan.closes
        ),
    );
    watch.recovered("closed connections", longest);
    watch.calls(load, begun, "meanwhile");
    Ok(())
}

/// Those who are there stay, so they are closed too: nobody is let in until the password is the old one again.
async fn changed_password(
    host: &VirtualHost,
    plan: &Plan,
    load: &mut Load,
    watch: &mut Watch,
) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let before = load.starts_over(REFUSED)?;
    host.change_password().await;
    host.close_connections().await;
    let committed = watch.deposits().await?;
    tokio::time::sleep(plan.locked).await;
    wait(plan, "with another password", plan.locked, committed, watch).await?;
    // Whoever runs it must be able to tell this from a broker that is away.
    let refused = started_over(load, REFUSED, before).await?;
    watch.judge(
        refused > 0,
        &format!("its log names the refusal {refused} times"),
    );
    host.restore_password().await;
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("the password is the old one again", longest);
    watch.calls(load, begun, "meanwhile");
    Ok(())
}

/// Waits until it has started over once more than before, if it does, and tells how often it has.
async fn started_over(load: &Load, what: &str, before: usize) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let more = load.starts_over(what)? - before;
        if more > 0 || begun.elapsed() > RECOVERY.resumes {
            return Ok(more);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What was committed in this time waits in the outbox, and it is as much as was asked for.
async fn wait(
    plan: &Plan,
    what: &str,
    time: Duration,
    before: i64,
    watch: &mut Watch,
) -> Result<()> {
    let committed = watch.deposits().await? - before;
    let waiting = watch.pending().await?;
    let asked = f64::from(plan.rate) * time.as_secs_f64();
    watch.judge(
        waiting as f64 >= MOST * committed as f64 && committed as f64 >= plan.pace * asked,
        &format!("{what} for {time:?}: {committed} of {asked:.0} commands committed, {waiting} events wait"),
    );
    Ok(())
}

async fn restarts(
    server: &mut OwnServer,
    plan: &Plan,
    load: &mut Load,
    watch: &mut Watch,
) -> Result<()> {
    for (what, times) in [("restarted", plan.restarts), ("killed", plan.kills)] {
        let (begun, mut longest) = (Instant::now(), Recovery::none());
        for _ in 0..times {
            match what {
                "restarted" => server.stop().await,
                _ => server.kill().await,
            }
            server.start_again().await;
            watch.recovers(load, RECOVERY, &mut longest).await?;
        }
        if times > 0 {
            watch.recovered(&format!("{what} {times} times"), longest);
            watch.calls(load, begun, "meanwhile");
        }
    }
    Ok(())
}

async fn outage(
    server: &mut OwnServer,
    plan: &Plan,
    load: &mut Load,
    watch: &mut Watch,
) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let before = watch.deposits().await?;
    server.kill().await;
    tokio::time::sleep(plan.outage).await;
    wait(plan, "down", plan.outage, before, watch).await?;
    watch.calls(load, begun, "meanwhile");
    server.start_again().await;
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("up again", longest);
    Ok(())
}
