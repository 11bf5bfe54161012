//! A broker under load: its connections are closed, its password changes, a queue is deleted, it is restarted, killed and away.
//! Calls go on, and nothing is lost.
//!
//! The run starts its own broker if it can. If not, it uses a virtual host of the broker of the tests, leaves out the parts that
//! would end that broker, and says so.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{Broker, Database, Operator, OwnServer, ServerKind, StoreKind, VirtualHost};

use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process::LoadProcess;
use crate::watch::{Recovery, Watch};

mod deleted_queue;

/// The text with which RabbitMQ refuses a login.
const REFUSED: &str = "ACCESS_REFUSED";
/// Who has a connection under load, in the words of the log.
const CONNECTED: [&str; 2] = ["the relay", "the consumer"];
/// The least part of the events committed without a broker that must wait in the outbox.
const MOST: f64 = 0.9;

/// How fast the system must recover when the broker is back.
pub(crate) const RECOVERY: Recovery = Recovery {
    resumes: Duration::from_secs(15),
    drains: Duration::from_secs(60),
};

/// How much of each fault.
struct Plan {
    closes: u32,
    restarts: u32,
    kills: u32,
    outage: Duration,
    /// How long all logins are refused.
    locked: Duration,
    /// Commands a second.
    rate: u32,
    /// The share of the commands that must be committed even on a busy machine.
    pace: f64,
}

impl Plan {
    fn new(quick: bool) -> Self {
        if quick {
            return Self {
                closes: 2,
                restarts: 0,
                // The outage begins with a kill.
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
                "broker: no restart, no kill, no outage: no private broker could be started ({reason})"
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
                "broker: no closed connection, no changed password: ANGARIUM_TEST_RABBITMQCTL is not set"
            );
            left_out.extend(["closed connections", "changed password"]);
            Broker::create(testkit::BrokerKind::RabbitMq).await
        }
    };
    let mut fixture = Fixture::on(databases, Some(broker)).await?;
    let (run, text) = (seed.to_string(), patience.to_string());
    let rate = plan.rate.to_string();
    let args = ["--rate", &rate, "--writers", "8", "--accounts", "20"];
    let mut load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&fixture, "broker").await?;
    // The system must work before anything is broken.
    watch
        .recovers(&mut load, RECOVERY, &mut Recovery::none())
        .await?;

    if let Some(host) = &host {
        closed_connections(host, &plan, &mut load, &mut watch).await?;
        changed_password(host, &plan, &mut load, &mut watch).await?;
    }
    let unshown = deleted_queue::run(&fixture, &mut load, &mut watch).await?;
    if let Some(server) = &mut own {
        restarts(server, &plan, &mut load, &mut watch).await?;
        outage(server, &plan, &mut load, &mut watch).await?;
    }
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    let verdict = watch.close(verdict).await?;
    Ok(Verdict {
        left_out,
        unshown,
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
    load: &mut LoadProcess,
    watch: &mut Watch,
) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let mut closed = 0;
    for _ in 0..plan.closes {
        let before = CONNECTED.map(|who| load.starts_over(who));
        host.close_connections().await;
        // Both services must have noticed the close, so that what arrives now comes by new connections. Their errors differ: one
        // receives the close, the other fails to send.
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
            "the broker closed all connections: both services noticed it {closed} of {} times",
            plan.closes
        ),
    );
    watch.recovered("after closed connections", longest);
    watch.calls(load, begun, "during the closed connections");
    Ok(())
}

/// Open connections would survive a new password, so they are closed too: then no service can log in until the old password is back.
async fn changed_password(
    host: &VirtualHost,
    plan: &Plan,
    load: &mut LoadProcess,
    watch: &mut Watch,
) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let before = load.starts_over(REFUSED)?;
    host.change_password().await;
    host.close_connections().await;
    let committed = watch.deposits().await?;
    tokio::time::sleep(plan.locked).await;
    wait(plan, "password changed", plan.locked, committed, watch).await?;
    // An operator must be able to distinguish this from a broker that is away.
    let refused = started_over(load, REFUSED, before).await?;
    watch.judge(
        refused > 0,
        &format!("the log names the refused login {refused} times"),
    );
    host.restore_password().await;
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("the old password is back", longest);
    watch.calls(load, begun, "during the changed password");
    Ok(())
}

/// Waits until the log has a new line about starting over, at most the time of a recovery, and returns the number of new lines.
async fn started_over(load: &LoadProcess, what: &str, before: usize) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let more = load.starts_over(what)? - before;
        if more > 0 || begun.elapsed() > RECOVERY.resumes {
            return Ok(more);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Checks that calls were committed at their rate meanwhile, and that their events wait in the outbox.
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
        &format!("{what} for {time:?}: {committed} of {asked:.0} commands were committed, {waiting} events wait"),
    );
    Ok(())
}

async fn restarts(
    server: &mut OwnServer,
    plan: &Plan,
    load: &mut LoadProcess,
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
            watch.calls(load, begun, &format!("while it was {what}"));
        }
    }
    Ok(())
}

async fn outage(
    server: &mut OwnServer,
    plan: &Plan,
    load: &mut LoadProcess,
    watch: &mut Watch,
) -> Result<()> {
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    let before = watch.deposits().await?;
    server.kill().await;
    tokio::time::sleep(plan.outage).await;
    wait(plan, "down", plan.outage, before, watch).await?;
    watch.calls(load, begun, "during the outage");
    server.start_again().await;
    watch.recovers(load, RECOVERY, &mut longest).await?;
    watch.recovered("up again", longest);
    Ok(())
}
