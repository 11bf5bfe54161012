//! A relay loses its lease while it waits: it publishes nothing that its successor has published.

use std::sync::Arc;
use std::time::Duration;

use messaging::transport::{Confirmation, Transport};
use messaging::{Relay, RelayConfig, Store, outbox};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind, eventually};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::execute;
use crate::events::Changed;
use crate::fixture::{Fixture, cause};
use crate::scripted::{Publication, Scripted};

const EVENTS: usize = 20;

struct Replica {
    store: Store,
    broker: Arc<Scripted>,
    published: UnboundedReceiver<Publication>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Replica {
    fn new(fixture: &Fixture) -> Self {
        let (broker, published) = Scripted::new(0);
        Self {
            store: Store::new(fixture.store.connection().clone()),
            broker,
            published,
            stop: CancellationToken::new(),
            running: JoinSet::new(),
        }
    }

    fn run(&mut self) {
        let transport: Arc<dyn Transport> = self.broker.clone();
        let relay = Relay::new(self.store.clone(), transport, RelayConfig::new("test"));
        self.running.spawn(relay.run(self.stop.clone()));
    }

    fn start(fixture: &Fixture) -> Self {
        let mut replica = Self::new(fixture);
        replica.run();
        replica
    }

    async fn commit(&self, accounts: impl IntoIterator<Item = String>) {
        let transaction = self.store.begin().await.unwrap();
        for account in accounts {
            outbox::enqueue(&transaction, &Changed::of(&account), 1, &cause()).unwrap();
        }
        transaction.commit().await.unwrap();
    }

    async fn next(&mut self) -> Publication {
        eventually("something is published", async || {
            self.published.recv().await.ok_or("the relay has ended")
        })
        .await
    }

    async fn confirm(&mut self, events: usize) -> Vec<String> {
        let mut accounts = Vec::new();
        for _ in 0..events {
            let publication = self.next().await;
            accounts.push(publication.event().0);
            publication.answer(Confirmation::Routed);
        }
        accounts
    }

    async fn stop(mut self) {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap();
    }
}

fn accounts() -> impl Iterator<Item = String> {
    (0..EVENTS).map(|number| number.to_string())
}

#[rstest]
#[tokio::test]
async fn after_a_blocked_broker_nothing_stale_is_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut slow = Replica::start(&fixture);
    slow.commit(["first".to_owned()]).await;
    slow.confirm(1).await;
    fixture.all_is_published().await;
    // The relay must sleep, which no event shows. A too short pause may hide a fault but reports no false one.
    tokio::time::sleep(Duration::from_millis(200)).await;
    slow.broker.takes(0);
    slow.commit(accounts()).await;

    // The successor finds the events by a poll.
    let mut successor = Replica::start(&fixture);
    let mut published = successor.confirm(EVENTS).await;
    published.sort();
    let mut expected: Vec<String> = accounts().collect();
    expected.sort();
    assert_eq!(published, expected);
    fixture.all_is_published().await;

    slow.broker.takes(usize::MAX);
    successor.stop().await;
    slow.commit(["last".to_owned()]).await;
    assert_eq!(slow.confirm(1).await, ["last"]);
    fixture.all_is_published().await;
    assert!(slow.published.try_recv().is_err());
    slow.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_batch_that_blocks_in_the_middle_goes_no_further(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const TAKEN: usize = 5;
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut slow = Replica::start(&fixture);
    slow.broker.takes(TAKEN);
    slow.commit(accounts()).await;
    let mut in_flight = Vec::new();
    for _ in 0..TAKEN {
        in_flight.push(slow.next().await);
    }

    let mut successor = Replica::start(&fixture);
    successor.confirm(EVENTS).await;
    fixture.all_is_published().await;

    // One was half sent when the broker blocked, the others not at all.
    slow.broker.takes(usize::MAX);
    slow.next().await.answer(Confirmation::Routed);
    for publication in in_flight {
        publication.answer(Confirmation::Routed);
    }
    successor.stop().await;
    slow.commit(["last".to_owned()]).await;
    assert_eq!(slow.confirm(1).await, ["last"]);
    fixture.all_is_published().await;
    assert!(slow.published.try_recv().is_err());
    slow.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_was_read_before_the_lease_is_read_again(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.commit(&Changed::of("first"), 1).await;
    let mut late = Replica::new(&fixture);
    let other = late.store.begin().await.unwrap();
    let lease = "UPDATE angarium_relay_lease SET holder = 'other', expires_at = {time of 1}";
    execute(&other, lease, []).await.unwrap();
    late.run();
    match store {
        StoreKind::Postgres => {
            let waits = "SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            eventually("the relay waits for its lease", async || {
                match fixture.rows(waits, []).await.len() {
                    0 => Err("it does not"),
                    _ => Ok(()),
                }
            })
            .await;
        }
        // Again, a wait that no event shows.
        StoreKind::Sqlite => tokio::time::sleep(Duration::from_millis(500)).await,
    }
    let published = "DELETE FROM angarium_outbox";
    other.execute_unprepared(published).await.unwrap();
    other.commit().await.unwrap();

    late.commit(["last".to_owned()]).await;
    assert_eq!(late.confirm(1).await, ["last"]);
    fixture.all_is_published().await;
    late.stop().await;
}
