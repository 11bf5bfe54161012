//! Limits the allocations of relay and consumer for one event.
//!
//! Everything runs on the thread of the test, so the counts include the driver of PostgreSQL, and exclude the queue file
//! (SQLite has its own threads). The limits are the current numbers plus a tenth, because the size of batches varies.

#![expect(clippy::print_stdout, reason = "for docs/benchmarks.md")]

use messaging::transport::Confirmation;
use messaging::{
    Consumer, ConsumerConfig, HandlerError, Received, Relay, RelayConfig, Subscriptions,
    Transaction,
};
use testkit::{BrokerKind, StoreKind};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::effects::QUEUE;
use crate::events::{Changed, message};
use crate::fixture::{Fixture, consumer_config};
use crate::scripted::Scripted;

const EVENTS: u32 = 1000;

#[test]
fn a_published_event_stays_within_its_allocations() {
    let runtime = on_this_thread();
    let fixture = runtime.block_on(fixture());
    let (transport, mut published) = Scripted::new(0);
    runtime.block_on(async {
        for _ in 0..EVENTS {
            let event = Changed::of(&Uuid::now_v7().to_string());
            fixture.commit(&event, 1).await;
        }
    });
    let relay = Relay::new(fixture.store.clone(), transport, RelayConfig::new("test"));
    within("relay", 180, || {
        runtime.block_on(async {
            let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
            tasks.spawn(relay.run(stop.clone()));
            for _ in 0..EVENTS {
                let publication = published.recv().await.unwrap();
                publication.answer(Confirmation::Routed);
            }
            fixture.all_is_published().await;
            stop.cancel();
            tasks.join_all().await;
        });
    });
}

#[test]
fn a_handled_event_stays_within_its_allocations() {
    let runtime = on_this_thread();
    let subscriptions = || Subscriptions::new(QUEUE).in_order_batch::<Changed>(count);
    let fixture = runtime.block_on(fixture());
    let transport = fixture.transport(&subscriptions());
    runtime.block_on(async {
        transport.declare().await.unwrap();
        let aggregates = (0..EVENTS).map(|_| Changed::of(&Uuid::now_v7().to_string()));
        let messages: Vec<_> = aggregates.map(|event| message(&event, 1)).collect();
        fixture.send(&subscriptions(), &messages).await;
    });
    let config = ConsumerConfig {
        prefetch: 100,
        ..consumer_config()
    };
    let consumer = Consumer::new(fixture.store.clone(), transport, subscriptions(), config);
    within("consumer", 185, || {
        runtime.block_on(async {
            let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
            tasks.spawn(consumer.run(stop.clone()));
            let _all = HANDLED.acquire_many(EVENTS).await.unwrap();
            stop.cancel();
            tasks.join_all().await;
        });
    });
    assert_eq!(runtime.block_on(fixture.inbox()).len(), EVENTS as usize);
}

static HANDLED: Semaphore = Semaphore::const_new(0);

async fn count(_: &Transaction, events: Vec<Received<'_, Changed>>) -> Result<(), HandlerError> {
    HANDLED.add_permits(events.len());
    Ok(())
}

fn within(what: &str, limit: u64, work: impl FnOnce()) {
    let counted = allocation_counter::measure(work);
    let each = counted.count_total / u64::from(EVENTS);
    println!("{what}: {each} allocations for an event");
    assert!(each <= limit, "{what}: {each} allocations for an event");
}

fn on_this_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

async fn fixture() -> Fixture {
    Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await
}
