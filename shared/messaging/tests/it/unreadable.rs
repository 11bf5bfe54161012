//! Messages that the AMQP library cannot parse, and damaged rows: each becomes a dead letter with its bytes, and its
//! queue continues.

use event::Message;
use messaging::dead_letters::DeadLetters;
use messaging::transport::{Confirmation, DEAD_LETTER_EXCHANGE, dead_letter_queue};
use messaging::{ConsumerConfig, RetryPolicy};
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Database};
use testkit::{BrokerKind, Proxy, StoreKind, amqp_url, eventually, eventually_is};

use crate::effects::{QUEUE, each_on_its_own, in_order};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, Held, NEVER, consumer_config};

const SENT: &str = "to be spoiled";
const ARRIVES: &[u8] = b"gr\xf6\xdfe  \xff\xfe\xe4\xfcA\x80";
const SHOWN: &str = r"gr\xf6\xdfe  \xff\xfe\xe4\xfcA\x80";

async fn spoiling() -> Proxy {
    let proxy = Proxy::before(amqp_url().as_str()).await;
    proxy.spoil(SENT.as_bytes(), ARRIVES);
    proxy
}

fn spoiled() -> [Message; 6] {
    let places: [fn(&mut Message); 6] = [
        |message| message.message_id = Some(SENT.to_owned()),
        |message| message.event_type = Some(SENT.to_owned()),
        |message| message.content_type = Some(SENT.to_owned()),
        |message| message.correlation_id = Some(SENT.to_owned()),
        |message| message.app_id = Some(SENT.to_owned()),
        |message| {
            message.headers.insert(SENT.to_owned(), "1".to_owned());
        },
    ];
    let mut version = 0;
    places.map(|spoil| {
        version += 1;
        let mut message = message(&Changed::of(&format!("spoiled-{version}")), version);
        spoil(&mut message);
        message
    })
}

async fn dead(fixture: &Fixture, message: &Message) -> Held {
    eventually("it is dead", async || {
        let inbox = fixture.inbox().await;
        let is_it = |row: &&Held| row.body.as_deref() == Some(&message.body[..]);
        inbox.iter().find(is_it).cloned().ok_or(inbox)
    })
    .await
}

async fn nothing_is_left(fixture: &Fixture) {
    for queue in [QUEUE.to_owned(), dead_letter_queue(QUEUE)] {
        eventually_is("the queue is empty", 0, async || {
            fixture.broker.messages(&queue).await
        })
        .await;
    }
}

#[rstest]
#[tokio::test]
async fn what_amqp_cannot_read_is_dead_and_the_queue_goes_on(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::RabbitMq).await;
    let proxy = spoiling().await;
    let [before, after] = [1, 2].map(|version| message(&Changed::of("a"), version));
    fixture.send(&each_on_its_own(), [&before]).await;
    for message in &spoiled() {
        for _ in 0..2 {
            let sent = fixture.broker.publish_by(&proxy, message).await;
            assert_eq!(sent, Confirmation::Routed);
        }
    }
    let mut copy = after.clone();
    copy.headers.insert(SENT.to_owned(), "1".to_owned());
    fixture.broker.publish_by(&proxy, &copy).await;
    fixture.send(&each_on_its_own(), [&after]).await;
    fixture.run_consumer(each_on_its_own());
    for good in [&before, &after] {
        fixture.becomes(&id(good), "done").await;
    }
    for message in spoiled().iter().chain([&copy]) {
        let dead = dead(&fixture, message).await;
        let cause = dead.cause.clone().unwrap_or_default();
        assert_eq!(dead.state, "dead", "{dead:?}");
        assert!(
            cause.starts_with("undecodable: it cannot be read"),
            "{cause}"
        );
        assert!(cause.contains(SHOWN), "{cause}");
    }
    fixture.stop().await;
    nothing_is_left(&fixture).await;
    assert_eq!(fixture.inbox().await.len(), 3 + spoiled().len());
}

#[rstest]
#[tokio::test]
async fn what_amqp_cannot_read_among_dead_letters_is_taken_in(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::RabbitMq).await;
    let proxy = spoiling().await;
    fixture.send(&each_on_its_own(), []).await;
    let given_up = |message: &Message| Message {
        exchange: DEAD_LETTER_EXCHANGE.to_owned(),
        routing_key: QUEUE.to_owned(),
        ..message.clone()
    };
    let after = message(&Changed::of("a"), 1);
    for message in &spoiled() {
        fixture.broker.publish_by(&proxy, &given_up(message)).await;
    }
    fixture.broker.publish(&given_up(&after)).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&after), "dead").await;
    for message in &spoiled() {
        let cause = dead(&fixture, message).await.cause.unwrap_or_default();
        assert!(cause.contains("it cannot be read"), "{cause}");
    }
    fixture.stop().await;
    nothing_is_left(&fixture).await;
}

#[rstest]
#[tokio::test]
async fn a_routing_key_that_is_no_text_stops_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::RabbitMq).await;
    let proxy = spoiling().await;
    fixture.send(&in_order(), []).await;
    let mut first = message(&Changed::of("a"), 1);
    first.routing_key = format!("account.{SENT}");
    let second = message(&Changed::of("a"), 2);
    let sent = fixture.broker.publish_by(&proxy, &first).await;
    assert_eq!(sent, Confirmation::Routed);
    fixture.send(&in_order(), [&second]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&second), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2]);
    fixture.stop().await;
    nothing_is_left(&fixture).await;
}

const DAMAGES: [(&str, Option<&[u8]>); 6] = [
    ("properties = '{\"headers\": '", None),
    ("properties = x'ff00'", None),
    ("properties = 7", None),
    ("exchange = x'ff'", None),
    ("body = 'a text'", Some(b"a text")),
    ("body = 3.5", Some(b"")),
];

#[rstest]
#[tokio::test]
async fn a_damaged_row_of_the_queue_file_is_dead_and_blocks_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(QUEUE.to_owned(), dead_letter_queue(QUEUE))] queue: String,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let damaged: Vec<Message> = (1..)
        .zip(DAMAGES)
        .map(|(version, _)| message(&Changed::of(&format!("damaged-{version}")), version))
        .collect();
    let after = message(&Changed::of("a"), 1);
    fixture.send(&each_on_its_own(), &damaged).await;
    for (row, (damage, _)) in (1..).zip(DAMAGES) {
        let damaging = format!("UPDATE message SET queue = '{queue}', {damage} WHERE id = {row}");
        change_queue_file(&fixture, &damaging).await;
    }
    fixture.send(&each_on_its_own(), [&after]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&after), "done").await;
    for (damaged, (damage, body)) in damaged.iter().zip(DAMAGES) {
        let body = body.unwrap_or(&damaged.body);
        let readable = damage == "body = 'a text'";
        let dead = eventually(damage, async || {
            let inbox = fixture.inbox().await;
            let is_it = |row: &&Held| row.state == "dead" && row.body.as_deref() == Some(body);
            inbox.iter().find(is_it).cloned().ok_or(inbox)
        })
        .await;
        let cause = dead.cause.unwrap_or_default();
        assert!(
            cause.contains("its row is damaged") || readable,
            "{damage}: {cause}"
        );
    }
    fixture.stop().await;
    nothing_is_left(&fixture).await;
    assert_eq!(fixture.inbox().await.len(), DAMAGES.len() + 1);
}

async fn change_queue_file(fixture: &Fixture, change: &str) {
    let file = fixture.broker.folder().unwrap().join("queue.db");
    let db = Database::connect(format!("sqlite://{}", file.display()));
    let db = db.await.unwrap();
    db.execute_unprepared(change).await.unwrap();
    db.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_damaged_row_of_the_inbox_is_dead_and_others_are_handled(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [damaged, good] = ["a", "b"].map(|account| {
        let event = Changed::failing(account, 1, Failure::Retry);
        message(&event, 1)
    });
    let later = ConsumerConfig {
        retry: RetryPolicy {
            first_delay: NEVER,
            longest_delay: NEVER,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.send(&each_on_its_own(), [&damaged, &good]).await;
    fixture.run_consumer_as(each_on_its_own(), later);
    for held in [&damaged, &good] {
        fixture.becomes(&id(held), "deferred").await;
    }
    fixture.stop().await;
    let damaging = "UPDATE angarium_inbox SET properties = 'damaged' WHERE event_id = {uuid $1}";
    fixture.rows(damaging, [id(&damaged).into()]).await;
    fixture
        .rows("UPDATE angarium_inbox SET due_at = {time of 0}", [])
        .await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&good), "done").await;
    let dead = fixture.becomes(&id(&damaged), "dead").await;
    let cause = dead.cause.unwrap_or_default();
    assert!(cause.contains("its row is damaged"), "{cause}");
    let dead_letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    let letters = dead_letters.list(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].message.body, damaged.body);
    fixture.stop().await;
}
