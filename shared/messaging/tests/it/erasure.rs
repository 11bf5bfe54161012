//! Personal data in held and dead events is erased with its person; the order continues.

use messaging::dead_letters::DeadLetters;
use messaging::{
    ConsumerConfig, EraseError, PersonalData, RetryPolicy, erase_held, erase_late, late_due_in_ms,
};
use prost::{Message as _, Name as _};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{QUEUE, execute, in_order};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, NEVER, consumer_config};

const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";

fn personal() -> PersonalData {
    PersonalData {
        types: vec!["test.account.v1.Changed"],
        person: |event_type, body, _| {
            assert_eq!(event_type, Changed::full_name());
            Changed::decode(body).ok().map(|event| event.note)
        },
        blanked: |_, body| {
            let event = Changed::decode(body).ok()?;
            let blanked = Changed {
                note: String::new(),
                ..event
            };
            Some(blanked.encode_to_vec())
        },
    }
}

async fn erase(fixture: &Fixture, person: &str) -> Result<(), EraseError> {
    loop {
        let transaction = fixture.store.begin().await.unwrap();
        let is_more = erase_held(&transaction, person, &personal()).await?;
        transaction.commit().await.unwrap();
        if !is_more {
            return Ok(());
        }
    }
}

fn noted(account: &str, person: &str, failures: u32) -> Changed {
    Changed {
        note: person.to_owned(),
        ..Changed::failing(account, failures, Failure::Reject)
    }
}

async fn holds(fixture: &Fixture, text: &str) -> Vec<String> {
    let rows = fixture
        .rows(
            "SELECT {text event_id} AS event_id, cause, body FROM angarium_inbox
             UNION ALL SELECT {text event_id}, cause, NULL FROM angarium_dead_letter_decision",
            [],
        )
        .await;
    let mut found = Vec::new();
    for row in rows {
        let body: Option<Vec<u8>> = row.try_get("", "body").unwrap();
        let cause: Option<String> = row.try_get("", "cause").unwrap();
        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        if body.contains(text) || cause.unwrap_or_default().contains(text) {
            found.push(row.try_get("", "event_id").unwrap());
        }
    }
    found
}

#[rstest]
#[tokio::test]
async fn dead_and_held_events_are_erased_and_the_order_continues(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let first = message(&noted("a", ADA, 0), 1);
    let dead = message(&noted("a", ADA, 99), 2);
    let behind = message(&noted("a", ADA, 0), 3);
    let other = message(&noted("b", BOB, 99), 1);
    let all = [&first, &dead, &behind, &other];
    fixture.send(&in_order(), all).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&dead), "dead").await;
    fixture.becomes(&id(&behind), "waiting").await;
    fixture.becomes(&id(&other), "dead").await;
    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    // The cause may repeat the event's content.
    let caused = "UPDATE angarium_inbox SET cause = $1 WHERE event_id = {uuid $2}";
    fixture.rows(caused, [ADA.into(), id(&dead).into()]).await;
    assert!(letters.replay(&id(&dead), "ada", "mended").await.unwrap());
    fixture.becomes(&id(&dead), "dead").await;
    assert!(!holds(&fixture, ADA).await.is_empty());

    erase(&fixture, ADA).await.unwrap();
    fixture.becomes(&id(&behind), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 3]);
    let erased = fixture.becomes(&id(&dead), "discarded").await;
    assert_eq!(erased.body, Some(Vec::new()));
    assert_eq!(holds(&fixture, ADA).await, [""; 0]);
    let decisions = letters.decisions(&id(&dead)).await.unwrap();
    let last = decisions.last().unwrap();
    assert!(!last.replayed);
    assert_eq!(
        (last.actor.as_str(), last.reason.as_str()),
        ("erasure", "the user was deleted")
    );
    let left = letters.find(&id(&other)).await.unwrap().unwrap();
    assert_eq!(left.message, other);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_erased_event_keeps_its_place_until_its_predecessor_comes(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, second, third, fourth] =
        [1, 2, 3, 4].map(|version| message(&noted("a", ADA, 0), version));
    fixture.send(&in_order(), [&first, &third, &fourth]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&fourth), "waiting").await;
    fixture.becomes(&id(&third), "waiting").await;

    erase(&fixture, ADA).await.unwrap();
    assert_eq!(holds(&fixture, ADA).await, [""; 0]);
    let held = fixture.held(&id(&third)).await.unwrap();
    assert_eq!(held.state, "waiting");
    let body = Changed::decode(held.body.unwrap().as_slice()).unwrap();
    assert_eq!(body, noted("a", "", 0), "only the personal data is gone");

    fixture.send(&in_order(), [&second]).await;
    fixture.becomes(&id(&fourth), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3, 4]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_unreadable_erased_event_is_passed_over_in_its_turn(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, second, third] = [1, 2, 3].map(|version| message(&noted("a", ADA, 0), version));
    let unreadable = event::Message {
        body: bytes::Bytes::from_static(b"\xffada@example.com"),
        ..second.clone()
    };
    fixture.send(&in_order(), [&unreadable, &third]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&third), "waiting").await;
    fixture.becomes(&id(&second), "waiting").await;
    let attributing = "UPDATE angarium_inbox SET person_id = $1 WHERE aggregate_version = 2";
    fixture.rows(attributing, [ADA.into()]).await;

    erase(&fixture, ADA).await.unwrap();
    assert_eq!(holds(&fixture, ADA).await, [""; 0]);
    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    assert_eq!(letters.decisions(&id(&second)).await.unwrap().len(), 1);
    fixture.send(&in_order(), [&first]).await;
    fixture.becomes(&id(&third), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 3]);
    fixture.stop().await;
}

/// A wait for each other's rows would make one transaction fail; a row in use is erased a moment later.
#[tokio::test]
async fn an_event_that_is_being_handled_is_erased_after_that() {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let dead = message(&noted("a", ADA, 99), 1);
    fixture.send(&in_order(), [&dead]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&dead), "dead").await;
    fixture.stop().await;
    let handling = fixture.store.begin().await.unwrap();
    let locking = "SELECT 1 AS one FROM angarium_inbox FOR UPDATE";
    store::sql::query_all(&handling, locking, []).await.unwrap();
    let in_use = erase(&fixture, ADA).await.unwrap_err();
    assert!(matches!(in_use, EraseError::InUse(1)), "{in_use}");
    handling.rollback().await.unwrap();
    erase(&fixture, ADA).await.unwrap();
    eventually_is("it is erased", vec![], async || holds(&fixture, ADA).await).await;
}

/// Its handler waits for the aggregate, and its worker has read the event with the data.
#[tokio::test]
async fn an_event_with_a_worker_is_handled_without_its_data() {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let first = message(&Changed::of("a"), 1);
    let retried = Changed {
        note: ADA.to_owned(),
        ..Changed::failing("a", 1, Failure::Retry)
    };
    let second = message(&retried, 2);
    fixture.send(&in_order(), [&first, &second]).await;
    let config = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: NEVER,
            longest_delay: NEVER,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.run_consumer_as(in_order(), config);
    fixture.becomes(&id(&second), "deferred").await;
    let aggregate = fixture.store.begin().await.unwrap();
    let locking = "SELECT 1 AS one FROM angarium_position FOR UPDATE";
    store::sql::query_all(&aggregate, locking, [])
        .await
        .unwrap();
    let due = "UPDATE angarium_inbox SET due_at = {time} WHERE state = 'deferred'";
    execute(fixture.store.connection(), due, []).await.unwrap();
    fixture.store.signal("inbox").notify_one();
    eventually_is("a worker has it", 1, async || {
        let leased = "SELECT 1 AS one FROM angarium_inbox WHERE begun > 0";
        fixture.rows(leased, []).await.len()
    })
    .await;
    erase(&fixture, ADA).await.unwrap();
    aggregate.rollback().await.unwrap();
    fixture.becomes(&id(&second), "done").await;
    let personal = "SELECT 1 AS one FROM effect WHERE note <> ''";
    assert_eq!(fixture.rows(personal, []).await.len(), 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_dies_after_its_person_was_erased_is_erased_too(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    erase(&fixture, ADA).await.unwrap();
    let late = message(&noted("a", ADA, 99), 1);
    let behind = message(&Changed::of("a"), 2);
    let other = message(&noted("b", BOB, 99), 1);
    fixture.send(&in_order(), [&late, &behind, &other]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&late), "dead").await;
    fixture.becomes(&id(&other), "dead").await;
    let due = async || {
        let question = late_due_in_ms(&personal());
        let row = fixture.rows(&question, []).await.remove(0);
        row.try_get_by_index::<Option<i64>>(0).unwrap()
    };
    assert_eq!(due().await, Some(0));
    let transaction = fixture.store.begin().await.unwrap();
    assert!(erase_late(&transaction, &personal()).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(due().await, None);
    assert_eq!(holds(&fixture, ADA).await, [""; 0]);
    fixture.becomes(&id(&behind), "done").await;
    assert_eq!(fixture.versions("a").await, [2]);
    assert_eq!(fixture.held(&id(&other)).await.unwrap().state, "dead");
    fixture.stop().await;
}
