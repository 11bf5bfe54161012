//! A transaction that takes its place in the outbox early and commits late: it is published all the same, and soon.
//!
//! PostgreSQL only: on SQLite there is one writer, so places are taken in the order of the commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use messaging::{Cause, Relay, RelayConfig, Store, Transaction, outbox};
use sea_orm::Value;
use testkit::{Broker, BrokerKind, Database, StoreKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::checker::{Entry, History, Verdict, judge};
use crate::deposit::{self, Deposited};
use crate::tables::{self, Migrator};

/// By when a late one is published, from its commit on.
const SOON: Duration = Duration::from_secs(2);

pub(crate) async fn run(rounds: u32, patience: Duration) -> Result<Verdict> {
    let database = Database::create(StoreKind::Postgres).await;
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    database.migrated::<Migrator>().await.close().await?;
    broker.transport(deposit::consumer()).declare().await?;
    let transport = broker.transport(deposit::producer());
    let stop = CancellationToken::new();
    let mut relays = JoinSet::new();
    let mut stores = Vec::new();
    for _ in 0..3 {
        // A pool, signals and a relay of its own, as in three processes: at most one of them publishes.
        let store = Store::new(database.connect().await);
        let config = RelayConfig::new("producer");
        let relay = Relay::new(store.clone(), Arc::clone(&transport), config);
        relays.spawn(relay.run(stop.clone()));
        stores.push(store);
    }
    let mut processes = stores.iter().cycle();
    let mut next = || processes.next().context("there are three");
    let mut history = History {
        drain: Some(Duration::ZERO),
        ..History::default()
    };
    for round in 0..rounds {
        let store = next()?;
        let late = store.begin_command().await?;
        let late_id = enqueue(&late, &format!("late-{round}")).await?;
        let early = next()?.begin_command().await?;
        let early_id = enqueue(&early, &format!("early-{round}")).await?;
        early.commit().await?;
        let passed_over = published(store, early_id, patience).await?;
        late.commit().await?;
        let in_time = published(store, late_id, SOON).await?;
        for (name, in_time) in [("early", passed_over), ("late", in_time)] {
            note(&mut history, &format!("{name}-{round}"), in_time);
        }
        if in_time.is_none() {
            break;
        }
    }
    stop.cancel();
    let ending = async { while relays.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(Duration::from_secs(10), ending).await;
    Ok(judge(&history, true))
}

async fn enqueue(transaction: &Transaction, account: &str) -> Result<Uuid> {
    let event = Deposited {
        account: account.to_owned(),
        op: account.to_owned(),
        ..Deposited::default()
    };
    let cause = Cause {
        correlation_id: account.to_owned(),
    };
    Ok(outbox::enqueue(transaction, &event, 1, &cause).await?)
}

/// How long it took to be published; `None` where it was not within `limit`.
async fn published(store: &Store, id: Uuid, limit: Duration) -> Result<Option<Duration>> {
    let begun = Instant::now();
    let sql = "SELECT event_id FROM outbox WHERE event_id = $1 AND published_at_ms IS NOT NULL";
    loop {
        let id: Value = id.to_string().into();
        if !tables::rows(store.connection(), sql, [id])
            .await?
            .is_empty()
        {
            return Ok(Some(begun.elapsed()));
        }
        if begun.elapsed() > limit {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// For the checker, an event that is published counts as its own effect.
fn note(history: &mut History, op: &str, published: Option<Duration>) {
    let entry = Entry {
        op: op.to_owned(),
        account: op.to_owned(),
        version: 1,
    };
    history.attempted.insert(op.to_owned());
    history.acknowledged.insert(op.to_owned());
    history.states.push(entry.clone());
    if let Some(took) = published {
        history.effects.push(entry);
        history.drain = history.drain.map(|longest| longest.max(took));
    }
}
