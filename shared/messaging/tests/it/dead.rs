//! Dead letters are stored unchanged with their cause, while the queue continues.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use event::Message;
use messaging::transport::dead_letter_queue;
use messaging::{ConsumerConfig, Delivered, HandlerError, Subscriptions, Transaction};
use rstest::rstest;
use sea_orm::QueryResult;
use testkit::{BrokerKind, StoreKind, eventually, eventually_is};
use uuid::Uuid;

use crate::effects::{QUEUE, change, each_on_its_own, in_order};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, Held, consumer_config};

#[rstest]
#[tokio::test]
async fn a_rejected_event_is_dead_with_its_cause_and_every_byte(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let rejected = message(&Changed::failing("a", 99, Failure::Reject), 1);
    let after = message(&Changed::of("a"), 2);
    fixture.send(&each_on_its_own(), [&rejected, &after]).await;
    fixture.run_consumer(each_on_its_own());
    let held = fixture.becomes(&id(&rejected), "dead").await;
    assert_eq!(held.attempts, 1);
    assert_eq!(held.cause.as_deref(), Some("not ever"));
    fixture.becomes(&id(&after), "done").await;
    assert_eq!(fixture.handled().await, [id(&after)]);
    assert_eq!(kept(&fixture, &id(&rejected)).await, rejected);
    fixture.stop().await;
    eventually_is("both are acknowledged", 0, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
}

type Wrong = (fn(&mut Message), &'static str);

const WRONG: [Wrong; 10] = [
    (
        |message| message.body = Bytes::from_static(&[0xff, 0x00, 0xfe, 0x17, 0x80]),
        "undecodable: failed to decode",
    ),
    (
        |message| {
            *message = Message {
                exchange: message.exchange.clone(),
                routing_key: message.routing_key.clone(),
                body: Bytes::from_static(b"hello?"),
                ..Message::default()
            }
        },
        "undecodable: it has no message id",
    ),
    (
        |message| message.message_id = Some("7".to_owned()),
        "undecodable: its message id `7` is not a UUID",
    ),
    (
        |message| message.content_type = Some("application/json".to_owned()),
        "undecodable: its content type is `application/json`",
    ),
    (
        |message| {
            message.event_type = None;
            message.headers.remove("cloudEvents_type");
        },
        "undecodable: it has no event type",
    ),
    (
        |message| {
            message.headers.remove("cloudEvents_subject");
            message.headers.remove("cloudEvents_partitionkey");
        },
        "undecodable: it names no aggregate",
    ),
    (
        |message| {
            let subject = "cloudEvents_subject".to_owned();
            message
                .headers
                .insert(subject, "another aggregate".to_owned());
        },
        "undecodable: its header names aggregate `another aggregate`",
    ),
    (
        |message| {
            let subject = "cloudEvents_subject".to_owned();
            message.headers.insert(subject, "a\0b".to_owned());
        },
        "undecodable: its aggregate id contains NUL",
    ),
    (
        |message| message.body = vec![0; event::MAX_BODY_BYTES + 1].into(),
        "undecodable: its body has 65537 bytes",
    ),
    (
        |message| {
            message.content_type = Some("text/\0plain".to_owned());
            message.event_type = Some("a\0type".to_owned());
        },
        "undecodable: its content type is `text/",
    ),
];

#[rstest]
#[tokio::test]
async fn a_message_that_is_no_event_is_dead_while_the_queue_goes_on(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_consumer(each_on_its_own());
    for (spoil, cause) in WRONG {
        let mut wrong = message(&Changed::of("a"), 1);
        spoil(&mut wrong);
        let after = message(&Changed::of("a"), 2);
        // The repetition is recognised even without an id.
        let messages = [&wrong, &after, &wrong];
        fixture.send(&each_on_its_own(), messages).await;
        fixture.becomes(&id(&after), "done").await;
        let dead = dead_of(&fixture, cause).await;
        assert_eq!(kept(&fixture, &dead.event_id).await, wrong, "{cause}");
    }
    eventually_is("all is acknowledged", 0, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
    assert_eq!(fixture.inbox().await.len(), 2 * WRONG.len());
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn nul_bytes_in_any_text_block_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(false, true)] ordered: bool,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let subscriptions: fn() -> Subscriptions = if ordered { in_order } else { each_on_its_own };
    let nul = || "a\0b".to_owned();
    let mut messages: Vec<Message> = (0..5)
        .map(|account| message(&Changed::of(&account.to_string()), 1))
        .collect();
    messages[0].event_type = Some(nul());
    messages[1].correlation_id = Some(nul());
    messages[2] = message(&Changed::of(&nul()), 1);
    messages[3].headers.insert("custom".to_owned(), nul());
    if ordered {
        messages[4].routing_key = format!("account.{}", nul());
    }
    fixture.send(&subscriptions(), &messages).await;
    fixture.run_consumer(subscriptions());
    for message in &messages {
        eventually("it is settled one way or another", async || {
            let state = fixture.held(&id(message)).await.map(|held| held.state);
            match state.as_deref() {
                Some("done" | "dead" | "skipped") => Ok(()),
                _ => Err((message.clone(), state)),
            }
        })
        .await;
    }
    eventually_is("all is acknowledged", 0, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn in_order_an_event_without_a_version_is_dead(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut wrong = message(&Changed::of("a"), 1);
    wrong.headers.remove("cloudEvents_sequence");
    let after = message(&Changed::of("a"), 1);
    fixture.send(&in_order(), [&wrong, &after]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&after), "done").await;
    let held = fixture.becomes(&id(&wrong), "dead").await;
    let cause = held.cause.unwrap_or_default();
    assert!(cause.contains("no cloudEvents_sequence"), "{cause}");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_of_an_unknown_type_is_skipped_and_kept(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let mut unknown = message(&Changed::of("a"), 1);
    unknown.event_type = Some("test.account.v9.Changed".to_owned());
    let after = message(&Changed::of("a"), 2);
    fixture.send(&each_on_its_own(), [&unknown, &after]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&after), "done").await;
    let held = fixture.becomes(&id(&unknown), "skipped").await;
    assert_eq!((held.attempts, held.cause), (0, None));
    assert_eq!(kept(&fixture, &id(&unknown)).await, unknown);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_kills_each_process_that_handles_it_is_dead_in_the_end(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    async fn never(_: &Transaction, _: Changed, _: &Delivered) -> Result<(), HandlerError> {
        std::future::pending().await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, broker).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(never);
    let killer = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&killer]).await;
    for _ in 0..=subscriptions().queue().delivery_limit {
        let mut receiver = fixture
            .transport(&subscriptions())
            .receiver(QUEUE, 1)
            .await
            .unwrap();
        let delivery = eventually("it comes", async || receiver.receive().await).await;
        assert_eq!(id(&delivery.message), id(&killer));
    }
    let after = message(&Changed::of("b"), 1);
    fixture.send(&subscriptions(), [&after]).await;
    fixture.run_consumer(each_on_its_own());
    let held = fixture.becomes(&id(&killer), "dead").await;
    let cause = held.cause.unwrap_or_default();
    assert!(cause.contains("delivery_limit"), "{cause}");
    assert_eq!(held.body.as_deref(), Some(&killer.body[..]));
    fixture.becomes(&id(&after), "done").await;
    fixture.stop().await;
    let dead_letters = dead_letter_queue(QUEUE);
    eventually_is("it is acknowledged there", 0, async || {
        fixture.broker.messages(&dead_letters).await
    })
    .await;
}

/// The neighbours are behind it, in the same lane.
#[rstest]
#[tokio::test]
async fn what_kills_each_process_takes_no_neighbour_with_it(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    static BEGUN: Mutex<BTreeMap<Uuid, u32>> = Mutex::new(BTreeMap::new());
    async fn deadly(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        if event.account == "deadly" {
            let id = delivered.envelope.id;
            *BEGUN.lock().unwrap().entry(id).or_default() += 1;
            std::future::pending::<()>().await;
        }
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, broker).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(deadly);
    let killer = message(&Changed::of("deadly"), 1);
    let neighbours: Vec<_> = (1..=5)
        .map(|version| message(&Changed::of("good"), version))
        .collect();
    let all = std::iter::once(&killer).chain(&neighbours);
    fixture.send(&subscriptions(), all).await;
    let one_lane = || ConsumerConfig {
        lanes: 1,
        ..consumer_config()
    };
    let killer_id = Uuid::parse_str(&id(&killer)).unwrap();
    let begun = || BEGUN.lock().unwrap().get(&killer_id).copied().unwrap_or(0);
    let mut deaths = 0;
    let held = loop {
        fixture.run_consumer_as(subscriptions(), one_lane());
        let dead = eventually("it is handled, or dead", async || {
            match fixture.held(&id(&killer)).await {
                Some(held) if held.state == "dead" => Ok(Some(held)),
                _ if begun() > deaths => Ok(None),
                other => Err(other),
            }
        })
        .await;
        if let Some(held) = dead {
            break held;
        }
        deaths = begun();
        fixture.abort().await;
    };
    let limit = u32::from(subscriptions().queue().delivery_limit);
    assert!((limit..=limit + 1).contains(&deaths), "{deaths} deaths");
    assert!(
        held.cause
            .is_some_and(|cause| cause.contains("delivery_limit"))
    );
    for neighbour in &neighbours {
        fixture.becomes(&id(neighbour), "done").await;
    }
    assert_eq!(fixture.versions("good").await, [1, 2, 3, 4, 5]);
    fixture.stop().await;
}

async fn dead_of(fixture: &Fixture, cause: &str) -> Held {
    eventually(&format!("one is dead: {cause}"), async || {
        let inbox = fixture.inbox().await;
        let is_it = |held: &&Held| {
            let text = held.cause.as_deref().unwrap_or_default();
            held.state == "dead" && text.starts_with(cause)
        };
        inbox.iter().find(is_it).cloned().ok_or(inbox)
    })
    .await
}

async fn kept(fixture: &Fixture, event_id: &str) -> Message {
    let selecting = "SELECT exchange, routing_key, properties, body FROM angarium_inbox WHERE event_id = {uuid $1}";
    let rows = fixture.rows(selecting, [event_id.into()]).await;
    let row: &QueryResult = rows.first().unwrap();
    let properties: String = row.try_get("", "properties").unwrap();
    let properties: serde_json::Value = serde_json::from_str(&properties).unwrap();
    let text = |name: &str| properties[name].as_str().map(str::to_owned);
    let headers = properties["headers"].as_object().unwrap().iter();
    Message {
        exchange: row.try_get("", "exchange").unwrap(),
        routing_key: row.try_get("", "routing_key").unwrap(),
        message_id: text("message_id"),
        event_type: text("type"),
        content_type: text("content_type"),
        correlation_id: text("correlation_id"),
        app_id: text("app_id"),
        timestamp_s: properties["timestamp"].as_u64(),
        headers: headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        body: row.try_get::<Vec<u8>>("", "body").unwrap().into(),
    }
}
