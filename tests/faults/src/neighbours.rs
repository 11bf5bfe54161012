//! Events that no queue takes yet, published among many that reach a queue: each arrives in its queue as soon as there is one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use event::Event;
use messaging::transport::{Binding, Queue, Topology};
use messaging::{Cause, Relay, RelayConfig, Store, outbox};
use testkit::{Broker, BrokerKind, Database, StoreKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checker::{Entry, History, Verdict, judge};
use crate::deposit::{self, Deposited};
use crate::tables::{self, Migrator};

/// Events of each kind, all outstanding at the same time.
const EACH: u32 = 200;
/// The queue for the other events. It is declared late.
const LATE_QUEUE: &str = "withdrawals_queue";

/// Money was paid out. Its routing key does not lead to the queue of the deposits.
#[derive(Clone, PartialEq, prost::Message)]
struct Withdrawn {
    #[prost(string, tag = "1")]
    account: String,
}

impl prost::Name for Withdrawn {
    const NAME: &'static str = "Withdrawn";
    const PACKAGE: &'static str = "faults.workload.v1";
}

impl Event for Withdrawn {
    const EXCHANGE: &'static str = Deposited::EXCHANGE;
    const AGGREGATE: &'static str = "withdrawal";
    const ROUTING_KEY: &'static str = "withdrawal.made";
    const MAY_BE_UNROUTED: bool = false;
    const SIBLINGS: &'static [&'static str] = &["faults.workload.v1.Withdrawn"];

    fn aggregate_id(&self) -> &str {
        &self.account
    }
}

pub(crate) async fn run(patience: Duration) -> Result<Verdict> {
    let database = Database::create(StoreKind::Postgres).await;
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    database.migrated::<Migrator>().await.close().await?;
    broker.transport(deposit::consumer()).declare().await?;
    let store = Store::new(database.connect().await).looking_every(Duration::from_millis(100));
    let mut history = enqueue(&store).await?;
    let (stop, mut relays) = (CancellationToken::new(), JoinSet::new());
    let transport = broker.transport(deposit::producer());
    let relay = Relay::new(store.clone(), transport, RelayConfig::new("producer"));
    relays.spawn(relay.run(stop.clone()));

    let unanswered = "SELECT count(*) FROM angarium_outbox WHERE attempts = 0";
    none(&store, unanswered, patience).await?;
    let in_vain = "SELECT count(*) FROM angarium_outbox WHERE attempts > 0";
    let in_vain = tables::number(store.connection(), in_vain).await?;
    ensure!(
        in_vain > 0,
        "every event reached a queue, so the run proves nothing"
    );
    let late = broker.transport(late_queue());
    late.declare().await?;
    let pending = "SELECT count(*) FROM angarium_outbox";
    history.drain = none(&store, pending, patience).await?;
    stop.cancel();
    while relays.join_next().await.is_some() {}
    for (queue, topology) in [
        (deposit::QUEUE, deposit::consumer()),
        (LATE_QUEUE, late_queue()),
    ] {
        arrived(&broker, queue, topology, &mut history).await?;
    }
    Ok(judge(&history, true))
}

fn late_queue() -> Topology {
    let binding = Binding {
        exchange: Withdrawn::EXCHANGE.to_owned(),
        pattern: Withdrawn::ROUTING_KEY.to_owned(),
    };
    Topology::default().consuming(Queue {
        name: LATE_QUEUE.to_owned(),
        bindings: [binding].into(),
        delivery_limit: 20,
    })
}

/// Each event has its own account, so that none waits for another.
async fn enqueue(store: &Store) -> Result<History> {
    let mut history = History::default();
    let transaction = store.begin_command().await?;
    for number in 0..EACH {
        let account = format!("in-{number}");
        let deposited = Deposited {
            account: account.clone(),
            op: account.clone(),
            ..Deposited::default()
        };
        let withdrawn = Withdrawn {
            account: format!("out-{number}"),
        };
        let cause = Cause::call(account);
        let ids = [
            outbox::enqueue(&transaction, &deposited, 1, &cause)?,
            outbox::enqueue(&transaction, &withdrawn, 1, &cause)?,
        ];
        for id in ids.map(|id| id.to_string()) {
            history.answers.attempt(id.clone());
            history.answers.acknowledge(id.clone());
            history.states.push(entry(id));
        }
    }
    transaction.commit().await?;
    Ok(history)
}

fn entry(id: String) -> Entry {
    Entry {
        account: id.clone(),
        op: id,
        version: 1,
    }
}

/// How long it took until this statement counts 0; `None` if longer than `limit`.
async fn none(store: &Store, count: &str, limit: Duration) -> Result<Option<Duration>> {
    let begun = Instant::now();
    while tables::number(store.connection(), count).await? > 0 {
        if begun.elapsed() > limit {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Some(begun.elapsed()))
}

/// For the checker, an event in its queue counts as its effect.
async fn arrived(
    broker: &Broker,
    queue: &str,
    topology: Topology,
    history: &mut History,
) -> Result<()> {
    let messages = broker.messages(queue).await;
    let transport = broker.transport(topology);
    let mut receiver = transport.receiver(queue, 500).await?;
    for _ in 0..messages {
        let message = receiver.receive().await?.message;
        let id = message.message_id.context("an event has an identifier")?;
        history.effects.push(entry(id));
    }
    Ok(())
}
