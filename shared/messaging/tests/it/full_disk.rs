//! A full disk under the engine: committed events and confirmed messages are kept, and work continues after space is
//! freed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use event::Message;
use messaging::transport::{Ack, Binding, Confirmation, Embedded, Queue, Topology, Transport};
use messaging::{Delivered, HandlerError, Subscriptions, Transaction};
use sea_orm::{ConnectionTrait as _, Database, Statement};
use testkit::{BrokerKind, SmallDisk, StoreKind, eventually, eventually_is};

use crate::effects::{QUEUE, change, execute};
use crate::events::{Changed, id, message};
use crate::fixture::Fixture;

static TRIES: AtomicU32 = AtomicU32::new(0);

/// SQLite has ended the transaction by then, so the effect would be committed without it.
async fn ignore_a_full_disk(
    transaction: &Transaction,
    event: Changed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    if TRIES.fetch_add(1, Ordering::SeqCst) == 0 {
        // This limit simulates the disk.
        execute(transaction, "PRAGMA max_page_count = 1", []).await?;
        let inserting =
            "INSERT INTO effect (event_id, account, note, attempt, correlation_id, trace_id)
                         VALUES ('', '', hex(zeroblob(1000000)), 1, '', '')";
        let refused = execute(transaction, inserting, []).await;
        assert!(refused.is_err());
    }
    change(transaction, event, delivered).await
}

#[tokio::test]
async fn a_handler_that_ignores_a_full_disk_has_one_effect() {
    let mut fixture = Fixture::new(StoreKind::Sqlite, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(ignore_a_full_disk);
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    fixture.run_consumer(subscriptions());
    let row = fixture.becomes(&id(&event), "done").await;
    assert_eq!(fixture.handled().await, [id(&event)]);
    assert_eq!(
        row.attempts, 0,
        "the disk's failure was counted as the handler's"
    );
    assert_eq!(TRIES.load(Ordering::SeqCst), 2);
    fixture.stop().await;
}

fn topology() -> Topology {
    let binding = Binding {
        exchange: "things".to_owned(),
        pattern: "thing.#".to_owned(),
    };
    Topology::publishing(["things"]).consuming(Queue {
        name: "things_queue".to_owned(),
        bindings: [binding].into(),
        delivery_limit: 20,
    })
}

async fn publish(transport: &dyn Transport, number: u32) -> Result<(), String> {
    let message = Message {
        exchange: "things".to_owned(),
        routing_key: "thing.made".to_owned(),
        body: Bytes::from(format!("{number} {}", "x".repeat(20_000))),
        ..Message::default()
    };
    let publisher = transport.publisher().await;
    let publisher = publisher.map_err(|error| error.to_string())?;
    let confirm = publisher.publish(&message).await;
    let confirm = confirm.map_err(|error| error.to_string())?.await;
    match confirm.map_err(|error| error.to_string())? {
        Confirmation::Routed => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn number(body: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(body);
    text.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_queue_file_on_a_full_disk_keeps_what_it_confirmed() {
    let test = "a_queue_file_on_a_full_disk_keeps_what_it_confirmed";
    let Some(disk) = SmallDisk::for_test(8, test) else {
        return;
    };
    let path = disk.path().join("queue.db");
    let embedded = Embedded::open(&path).await.unwrap();
    let transport = Arc::new(embedded.transport(topology()));
    transport.declare().await.unwrap();
    let mut confirmed = BTreeSet::new();
    let mut last = 0;
    for round in 0..3 {
        disk.fill();
        let mut refusals = Vec::new();
        while refusals.len() < 3 {
            last += 1;
            match publish(&*transport, last).await {
                Ok(()) => drop(confirmed.insert(last)),
                Err(error) => refusals.push(error),
            }
        }
        let is_full = refusals.iter().any(|error| error.contains("full"));
        assert!(is_full, "{refusals:?}");
        disk.free();
        for _ in 0..3 {
            last += 1;
            publish(&*transport, last).await.unwrap();
            confirmed.insert(last);
        }
        assert_eq!(stored(&path).await, confirmed, "round {round}");
    }
    let mut receiver = transport.receiver("things_queue", 20).await.unwrap();
    let mut received = BTreeSet::new();
    while received.len() < confirmed.len() {
        let delivery = eventually("a message has come", async || receiver.receive().await).await;
        received.insert(number(&delivery.message.body));
        receiver.acknowledge(Ack::One(delivery.tag)).await.unwrap();
    }
    assert_eq!(received, confirmed);
    let nothing = BTreeSet::new();
    eventually_is("all are acknowledged", nothing, async || {
        stored(&path).await
    })
    .await;
}

async fn stored(path: &std::path::Path) -> BTreeSet<u32> {
    let url = format!("sqlite://{}?mode=ro", path.display());
    let db = Database::connect(url).await.unwrap();
    let selecting = "SELECT body FROM message";
    let statement = Statement::from_string(db.get_database_backend(), selecting);
    let rows = db.query_all_raw(statement).await.unwrap();
    let body = |row: &sea_orm::QueryResult| row.try_get_by_index::<Vec<u8>>(0).unwrap();
    let numbers = rows.iter().map(|row| number(&body(row))).collect();
    db.close().await.unwrap();
    numbers
}
