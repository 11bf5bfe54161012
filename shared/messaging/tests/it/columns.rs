//! What an operator can look up: an event's source and correlation, and equal failures.

use event::Message;
use messaging::dead_letters::DeadLetters;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::Fixture;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn traced(event: &Changed) -> Message {
    let mut message = message(event, 1);
    let parent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    message.headers.insert("traceparent".to_owned(), parent);
    message
}

#[rstest]
#[tokio::test]
async fn an_event_is_found_by_its_correlation_id_also_once_it_is_done(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let done = traced(&Changed::of("a"));
    let dead = traced(&Changed::failing("b", 99, Failure::Reject));
    fixture.send(&each_on_its_own(), [&done, &dead]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&done), "done").await;
    fixture.becomes(&id(&dead), "dead").await;
    let correlation_id = done.correlation_id.clone().unwrap();
    let found = "SELECT state, source, trace_id FROM angarium_inbox WHERE correlation_id = $1 ORDER BY state DESC";
    let rows = fixture.rows(found, [correlation_id.into()]).await;
    let found: Vec<[String; 3]> = rows
        .iter()
        .map(|row| ["state", "source", "trace_id"].map(|name| row.try_get("", name).unwrap()))
        .collect();
    let source = done.app_id.as_deref().unwrap();
    assert_eq!(
        found,
        [["done", source, TRACE_ID], ["dead", source, TRACE_ID]]
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn equal_failures_share_a_fingerprint_and_replays_are_counted(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let alike =
        ["a", "b"].map(|account| message(&Changed::failing(account, 99, Failure::Reject), 1));
    let other = message(&Changed::failing("c", 99, Failure::Panic), 1);
    fixture.send(&each_on_its_own(), &alike).await;
    fixture.send(&each_on_its_own(), [&other]).await;
    fixture.run_consumer(each_on_its_own());
    for message in alike.iter().chain([&other]) {
        fixture.becomes(&id(message), "dead").await;
    }
    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    let fingerprint = async |message| {
        let letter = letters.find(&id(message)).await.unwrap().unwrap();
        letter.fingerprint.unwrap()
    };
    let first = fingerprint(&alike[0]).await;
    assert_eq!(fingerprint(&alike[1]).await, first);
    assert_ne!(fingerprint(&other).await, first);

    let replayed = letters.replay(&id(&alike[0]), "ada", "again").await;
    assert!(replayed.unwrap());
    fixture.becomes(&id(&alike[0]), "dead").await;
    let letter = letters.find(&id(&alike[0])).await.unwrap().unwrap();
    assert_eq!(letter.replays, 1);
    assert_eq!(letter.fingerprint, Some(first));
    fixture.stop().await;
}
