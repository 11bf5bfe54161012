//! A private PostgreSQL that is killed under load and started again: calls fail fast while it is down, and no answer was wrong.

use std::time::{Duration, Instant};

use anyhow::Result;
use testkit::{Broker, BrokerKind, Database, OwnServer, ServerKind};

use crate::broker::RECOVERY;
use crate::checker::Verdict;
use crate::fixture::Fixture;
use crate::load_process;
use crate::watch::{Recovery, Watch};

/// The limit for a refusal; with a margin for a busy machine.
pub(super) const FAST: Duration = Duration::from_millis(2500);

const LOADED: Duration = Duration::from_secs(1);

/// `None` if no private server can be started.
pub(super) async fn run(seed: u64, quick: bool, patience: u64) -> Result<Option<Verdict>> {
    let (kills, down) = if quick { (2, 2) } else { (10, 5) };
    let down = Duration::from_secs(down);
    let mut server = match OwnServer::start(ServerKind::Postgres).await {
        Ok(server) => server,
        Err(reason) => {
            println!("database: no kill: no private PostgreSQL could be started ({reason})");
            return Ok(None);
        }
    };
    let databases = [
        Database::create_on(server.url()).await,
        Database::create_on(server.url()).await,
    ];
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let mut fixture = Fixture::on(databases, Some(broker)).await?;
    let (run, text) = (format!("{seed}-killed"), patience.to_string());
    let args = ["--rate", "50", "--writers", "8", "--accounts", "20"];
    let mut load = fixture.load(&run, &[&args[..], &["--patience", &text]].concat())?;
    let mut watch = Watch::over(&fixture, "database").await?;
    let (begun, mut longest) = (Instant::now(), Recovery::none());
    watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    for _ in 0..kills {
        // Time for some load, so that the kill interrupts something.
        tokio::time::sleep(LOADED).await;
        server.kill().await;
        tokio::time::sleep(down).await;
        server.start_again().await;
        watch.recovers(&mut load, RECOVERY, &mut longest).await?;
    }
    let what = format!("killed {kills} times, down for {down:?}");
    watch.recovered(&what, longest);
    let (slowest, refused) = load_process::slowest_refusal(&load.answers(begun));
    watch.judge(
        slowest <= FAST && refused > 0,
        &format!("{refused} calls were refused, the slowest after {slowest:.1?}"),
    );
    fixture.end(load, patience).await?;
    let verdict = fixture.verdict(&run, true).await?;
    let verdict = watch.close(verdict).await?;
    println!("database kills: {verdict}");
    Ok(Some(verdict))
}
