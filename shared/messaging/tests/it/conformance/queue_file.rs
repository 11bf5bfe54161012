//! What only the queue file guarantees.

use std::time::Duration;

use futures::FutureExt as _;
use messaging::pruning;
use messaging::transport::{self, Confirmation, Embedded};
use testkit::{Broker, BrokerKind};

use super::{QUEUE, message, numbers, publish, topology};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_second_process_gets_an_error_that_the_file_is_in_use() {
    let broker = Broker::create(BrokerKind::Embedded).await;
    let file = broker.folder().unwrap().join("queue.db");
    let error = Embedded::open(&file).await.map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&file.display().to_string()), "{text}");
    assert!(text.contains("another process has it open"), "{text}");
}

#[tokio::test]
async fn a_queue_file_that_is_just_being_closed_opens() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queue.db");
    let lock = std::fs::File::create(file.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    let opening = Embedded::open(&file);
    let closing = async { drop(lock) };
    let (opened, ()) = tokio::join!(opening, closing);
    opened.unwrap();
}

/// It waits for its own database, for example.
#[tokio::test]
async fn a_publisher_that_waits_for_something_else_keeps_no_other() {
    let broker = Broker::create(BrokerKind::Embedded).await;
    let transport = broker.transport(topology(QUEUE, &["thing.#"]));
    transport.declare().await.unwrap();
    let [first, second] = [
        transport.publisher().await.unwrap(),
        transport.publisher().await.unwrap(),
    ];
    let mut confirm = first.publish(&message("thing.made", "1")).await.unwrap();
    // It has begun, and nothing continues it.
    assert!((&mut confirm).now_or_never().is_none());
    let other = second.publish(&message("thing.made", "2")).await.unwrap();
    let other = tokio::time::timeout(PATIENCE, other).await;
    assert_eq!(other.unwrap().unwrap(), Confirmation::Routed);
    assert_eq!(confirm.await.unwrap(), Confirmation::Routed);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let broker = Broker::create(BrokerKind::Embedded).await;
    let file = broker.folder().unwrap().join("queue.db").join("nested.db");
    let error = Embedded::open(&file).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("nested.db"), "{error}");
}

#[tokio::test]
async fn an_undeclared_binding_stays_until_it_is_removed() {
    let broker = Broker::create(BrokerKind::Embedded).await;
    let before = broker.transport(topology(QUEUE, &["thing.#", "other.#"]));
    publish(&*before, numbers(1..=1)).await;
    let now = topology(QUEUE, &["other.#"]);
    let after = broker.transport(now.clone());
    let other = broker.transport(topology("another_queue", &["thing.#"]));
    after.declare().await.unwrap();
    publish(&*other, numbers(2..=2)).await;
    assert_eq!(broker.messages(QUEUE).await, 2);

    let file = broker.of_services([&now]);
    let transport::Broker::Embedded(embedded) = &file else {
        panic!("it is embedded");
    };
    let stale = pruning::stale(&embedded.bound(), &[now]);
    let patterns: Vec<&str> = stale
        .iter()
        .map(|bound| bound.binding.pattern.as_str())
        .collect();
    assert_eq!(patterns, ["thing.#"]);
    pruning::unbind(&file, &stale).await.unwrap();
    publish(&*other, numbers(3..=3)).await;
    assert_eq!(broker.messages(QUEUE).await, 2);
}
