//! One service for one test: a database, a broker, and the parts of the engine that the test starts.

use std::sync::Arc;
use std::time::Duration;

use event::{Event, Message};
use messaging::transport::{Confirmation, Topology, Transport};
use messaging::{
    Cause, Consumer, ConsumerConfig, Relay, RelayConfig, RetryPolicy, Store, Subscriptions, outbox,
};
use sea_orm::{QueryResult, Value};
use store::sql;
use testkit::{Broker, BrokerKind, Database, StoreKind, eventually, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::effects::{self, Effect, Migrator};

/// It never ends: a test that needs a poll fails instead of being slow.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);
pub(crate) const SOON: Duration = Duration::from_millis(50);

pub(crate) struct Fixture {
    // First, so that tasks end before the resources that they use.
    running: JoinSet<()>,
    stop: CancellationToken,
    pub(crate) store: Store,
    pub(crate) broker: Broker,
    database: Database,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) event_id: String,
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) cause: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) published: bool,
    pub(crate) attempts: i32,
    pub(crate) last_error: Option<String>,
}

impl Fixture {
    pub(crate) async fn new(store: StoreKind, broker: BrokerKind) -> Self {
        let database = Database::create(store).await;
        let db = database.migrated::<Migrator>().await;
        Self::of(database, db, broker).await
    }

    /// Each connection runs every statement.
    pub(crate) async fn with_connections(store: StoreKind, broker: BrokerKind, most: u32) -> Self {
        let database = Database::create(store).await;
        drop(database.migrated::<Migrator>().await);
        let db = database.with_connections(most).await;
        Self::of(database, db, broker).await
    }

    async fn of(database: Database, db: store::Database, broker: BrokerKind) -> Self {
        Self {
            running: JoinSet::new(),
            stop: CancellationToken::new(),
            store: Store::new(db).looking_every(NEVER),
            broker: Broker::create(broker).await,
            database,
        }
    }

    pub(crate) fn database_url(&self) -> &str {
        self.database.url()
    }

    pub(crate) fn look_soon(&mut self) {
        self.store = self.store.clone().looking_every(SOON);
    }

    pub(crate) fn transport(&self, subscriptions: &Subscriptions) -> Arc<dyn Transport> {
        let topology = Topology::publishing(["echo_events"]).consuming(subscriptions.queue());
        self.broker.transport(topology)
    }

    pub(crate) async fn send<'a>(
        &self,
        subscriptions: &Subscriptions,
        messages: impl IntoIterator<Item = &'a Message>,
    ) {
        let publisher = self.transport(subscriptions).publisher().await.unwrap();
        let mut confirms = Vec::new();
        for message in messages {
            confirms.push(publisher.publish(message).await.unwrap());
        }
        for confirm in confirms {
            assert_eq!(confirm.await.unwrap(), Confirmation::Routed);
        }
    }

    pub(crate) async fn commit<E: Event>(&self, event: &E, version: i64) -> Uuid {
        let transaction = self.store.begin().await.unwrap();
        let id = outbox::enqueue(&transaction, event, version, &cause()).unwrap();
        transaction.commit().await.unwrap();
        id
    }

    pub(crate) fn run_relay(&mut self, transport: Arc<dyn Transport>) {
        self.run_relay_as(transport, RelayConfig::new("test"));
    }

    pub(crate) fn run_relay_as(&mut self, transport: Arc<dyn Transport>, config: RelayConfig) {
        let relay = Relay::new(self.store.clone(), transport, config);
        self.running.spawn(relay.run(self.stop.clone()));
    }

    pub(crate) fn run_consumer(&mut self, subscriptions: Subscriptions) {
        self.run_consumer_as(subscriptions, consumer_config());
    }

    pub(crate) fn run_consumer_as(&mut self, subscriptions: Subscriptions, config: ConsumerConfig) {
        let transport = self.transport(&subscriptions);
        let consumer = Consumer::new(self.store.clone(), transport, subscriptions, config);
        self.running.spawn(consumer.run(self.stop.clone()));
    }

    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        eventually("everything has stopped", async || {
            while let Some(ended) = self.running.try_join_next() {
                ended.unwrap();
            }
            self.running.is_empty().then_some(()).ok_or("still running")
        })
        .await;
        self.stop = CancellationToken::new();
    }

    /// Like `kill -9`.
    pub(crate) async fn abort(&mut self) {
        self.running.shutdown().await;
    }

    pub(crate) async fn effects(&self) -> Vec<Effect> {
        effects::effects(self.store.connection()).await
    }

    pub(crate) async fn handled(&self) -> Vec<String> {
        let effects = self.effects().await.into_iter();
        effects.map(|effect| effect.event_id).collect()
    }

    pub(crate) async fn versions(&self, account: &str) -> Vec<i64> {
        let effects = self.effects().await.into_iter();
        effects
            .filter(|effect| effect.account == account)
            .filter_map(|effect| effect.version)
            .collect()
    }

    pub(crate) async fn inbox(&self) -> Vec<Held> {
        let rows = self
            .rows("SELECT {text event_id} AS event_id, state, attempts, cause, body FROM angarium_inbox ORDER BY received_at, event_id", [])
            .await;
        let held = |row: &QueryResult| Held {
            event_id: row.try_get("", "event_id").unwrap(),
            state: row.try_get("", "state").unwrap(),
            attempts: row.try_get("", "attempts").unwrap(),
            cause: row.try_get("", "cause").unwrap(),
            body: row.try_get("", "body").unwrap(),
        };
        rows.iter().map(held).collect()
    }

    pub(crate) async fn held(&self, event_id: &str) -> Option<Held> {
        let inbox = self.inbox().await;
        inbox.into_iter().find(|held| held.event_id == event_id)
    }

    pub(crate) async fn becomes(&self, event_id: &str, state: &str) -> Held {
        eventually(&format!("{event_id} is {state}"), async || {
            match self.held(event_id).await {
                Some(held) if held.state == state => Ok(held),
                _ => Err(self.inbox().await),
            }
        })
        .await
    }

    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        let rows = self
            .rows("SELECT {text event_id} AS event_id, event_type, state, attempts, last_error FROM angarium_events ORDER BY sequence", [])
            .await;
        let promised = |row: &QueryResult| Promised {
            event_id: row.try_get("", "event_id").unwrap(),
            event_type: row.try_get("", "event_type").unwrap(),
            published: row.try_get::<String>("", "state").unwrap() == "published",
            attempts: row.try_get("", "attempts").unwrap(),
            last_error: row.try_get("", "last_error").unwrap(),
        };
        rows.iter().map(promised).collect()
    }

    pub(crate) async fn pending(&self) -> usize {
        let outbox = self.outbox().await;
        outbox.iter().filter(|row| !row.published).count()
    }

    pub(crate) async fn all_is_published(&self) {
        eventually_is("nothing is pending", 0, async || self.pending().await).await;
    }

    pub(crate) async fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Vec<QueryResult> {
        sql::query_all(self.store.connection(), sql, values)
            .await
            .unwrap()
    }
}

pub(crate) fn cause() -> Cause {
    Cause::call("call-1")
}

/// All events in one lane, and one held event at a time.
pub(crate) fn one_lane() -> ConsumerConfig {
    ConsumerConfig {
        lanes: 1,
        ..consumer_config()
    }
}

/// Immediate retries, and no time-based decisions.
pub(crate) fn consumer_config() -> ConsumerConfig {
    ConsumerConfig {
        handler_time_out: NEVER,
        retry: RetryPolicy {
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(5),
            attempts: 4,
            longest_age: NEVER,
        },
        baseline_wait: NEVER,
        unknown_wait: Duration::ZERO,
        ..ConsumerConfig::default()
    }
}
