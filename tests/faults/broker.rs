//! A broker that is closed, deleted from, locked, restarted and killed under load: calls go on, and nothing is lost.
//!
//! It is a node of the run's own where one can be started. Where not, the broker of the tests is used, in a virtual host of
//! the run's own, and what would end it is left out and said.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{Broker, Database, Operator, OwnServer, ServerKind, StoreKind, VirtualHost};

use crate::checker::Verdict;
use crate::load::Load;
use crate::watch::{Recovery, Watch};
use crate::world::World;

mod deleted_queue;

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
    rate: &'static str,
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
                rate: "40",
            };
        }
        Self {
            closes: 50,
            restarts: 5,
            kills: 20,
            outage: Duration::from_secs(120),
            locked: Duration::from_secs(20),
            rate: "40",
        }
    }
}

pub(crate) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Verdict> {
    let plan = Plan::new(quick);
    let mut own = match OwnServer::start(ServerKind::RabbitMq).await {
        Ok(server) => Some(server),
        Err(reason) => {
            println!(
                "broker: no restart, no kill, no outage: there is no broker of its own ({reason})"
            );
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
            Broker::create(testkit::BrokerKind::RabbitMq).await
        }
    };
    let mut world = World::on(databases, Some(broker)).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let args = ["--rate", plan.rate, "--writers", "8", "--accounts", "20"];
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
    watch.close(verdict).await
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
    for _ in 0..plan.closes {
        host.close_connections().await;
        if !watch.recovers(load, RECOVERY, &mut longest).await? {
            break;
        }
    }
    watch.recovered(
        &format!("all connections closed by the broker {} times", plan.closes),
        longest,
    );
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
    let refused = load.refusals()?;
    host.change_password().await;
    host.close_connections().await;
    let effects = watch.effects().await?;
    tokio::time::sleep(plan.locked).await;
    let (deposits, later) = (watch.deposits().await?, watch.effects().await?);
    watch.judge(
        later < deposits,
        &format!(
            "with another password: {} events wait",
            deposits - later.max(effects)
        ),
    );
    // Whoever runs it must be able to tell this from a broker that is away.
    let begun_to_wait = Instant::now();
    while load.refusals()? == refused && begun_to_wait.elapsed() < RECOVERY.resumes {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refused = load.refusals()? - refused;
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
    let waiting = watch.deposits().await? - watch.effects().await?;
    let taken = watch.deposits().await? - before;
    watch.judge(
        waiting > 0 && taken > 0,
        &format!(
            "down for {:?}: {taken} commands committed, {waiting} events wait",
            plan.outage
        ),
    );
    watch.calls(load, begun, "meanwhile");
    server.start_again().await;
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("up again", longest);
    Ok(())
}
