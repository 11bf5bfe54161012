//! Checkpoints that a test writes itself: of a restored producer, with old events, and none at all.

use event::{
    CHECKPOINT_KEY, CHECKPOINT_TYPE, Checkpoint, Envelope, Message, Published, TraceContext,
};
use prost::Message as _;
use rstest::rstest;
use serde_json::json;
use testkit::{BrokerKind, StoreKind, eventually, eventually_is};
use uuid::Uuid;

use super::consumer;
use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{EXCHANGE, id};
use crate::fixture::Fixture;

pub(super) fn checkpoint(number: i64, stamp: i64, published_ms: i64) -> (Uuid, Checkpoint) {
    let event = Uuid::now_v7();
    let published = Published {
        event_type: "test.account.v1.Changed".to_owned(),
        routing_key: "account.changed".to_owned(),
        event_ids: vec![event.into()],
    };
    let checkpoint = Checkpoint {
        exchange: EXCHANGE.to_owned(),
        number,
        stamp,
        oldest_published_ms: published_ms,
        interval_s: 60,
        retention_s: 3600,
        published: vec![published],
    };
    (event, checkpoint)
}

pub(super) fn message(checkpoint: &Checkpoint) -> Message {
    let envelope = Envelope {
        id: Uuid::now_v7(),
        event_type: CHECKPOINT_TYPE.to_owned(),
        source: "other".to_owned(),
        time_ms: 1_700_000_000_123,
        aggregate_id: "other".to_owned(),
        aggregate_version: Some(checkpoint.number),
        correlation_id: "none".to_owned(),
        trace: TraceContext::default(),
    };
    let body = checkpoint.encode_to_vec().into();
    envelope.to_message(EXCHANGE, CHECKPOINT_KEY, body)
}

pub(super) fn now_ms() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

async fn diverged(fixture: &Fixture) -> bool {
    let reading = "SELECT 1 AS one FROM angarium_checkpoint_stream WHERE diverged_at IS NOT NULL";
    !fixture.rows(reading, []).await.is_empty()
}

#[rstest]
#[tokio::test]
async fn a_producer_that_counts_anew_has_lost_events(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_consumer_as(each_on_its_own(), consumer());
    let line: Vec<_> = (1..=5)
        .map(|number| checkpoint(number, number, now_ms()).1)
        .collect();
    let messages: Vec<_> = line.iter().map(message).collect();
    fixture.send(&each_on_its_own(), &messages).await;
    // The fourth again, as after a lost acknowledgement; the sixth is late.
    let seventh = message(&checkpoint(7, 7, now_ms()).1);
    fixture
        .send(&each_on_its_own(), [&messages[3], &seventh])
        .await;
    eventually_is("six is not there", vec![(6, 6)], async || {
        fixture.gaps().await
    })
    .await;
    assert!(!diverged(&fixture).await);

    let (lost, anew) = checkpoint(4, 99, now_ms());
    fixture.send(&each_on_its_own(), [&message(&anew)]).await;
    eventually_is("it is noticed", true, async || diverged(&fixture).await).await;
    eventually("what is lost now is missing", async || {
        let missing = fixture.missing().await;
        missing
            .contains(&lost.to_string())
            .then_some(())
            .ok_or(missing)
    })
    .await;
    assert_eq!(fixture.stream().await.map(|(number, _)| number), Some(4));
    assert_eq!(fixture.gaps().await, []);
    fixture.stop().await;
}

/// The inbox may have forgotten the event.
#[rstest]
#[tokio::test]
async fn the_retention_of_the_inbox_raises_no_false_alarm(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const DAY_MS: i64 = 24 * 3_600_000;
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    fixture.run_consumer_as(each_on_its_own(), consumer());
    let [first, second] = [1, 2].map(|number| checkpoint(number, number, now_ms()).1);
    let (_forgotten, old) = checkpoint(3, 3, now_ms() - 14 * DAY_MS);
    let (missing, new) = checkpoint(4, 4, now_ms() - 13 * DAY_MS);
    let messages = [first, second, old, new].map(|checkpoint| message(&checkpoint));
    fixture.send(&each_on_its_own(), &messages).await;
    let missing = [missing.to_string()].into();
    eventually_is("one is missing", missing, async || fixture.missing().await).await;
    fixture.stop().await;
}

/// As a replica of the previous release has kept it.
#[rstest]
#[tokio::test]
async fn a_checkpoint_that_an_older_release_has_kept_is_followed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let kept = message(&checkpoint(1, 1, now_ms()).1);
    let properties = json!({
        "message_id": kept.message_id, "type": kept.event_type, "content_type": kept.content_type,
        "correlation_id": kept.correlation_id, "app_id": kept.app_id, "timestamp": kept.timestamp_s,
        "headers": kept.headers,
    });
    let keeping = "
        INSERT INTO angarium_inbox (consumer, event_id, state, event_type, aggregate_type, aggregate_id, aggregate_version,
                                    exchange, routing_key, properties, body, due_at, received_at, unknown_until)
        VALUES ($1, {uuid $2}, 'waiting', $3, 'checkpoint', 'other', 1, $4, $5, $6, $7, {time + 3600000}, {time}, {time + 3600000})";
    let values = [
        QUEUE.into(),
        id(&kept).into(),
        CHECKPOINT_TYPE.into(),
        EXCHANGE.into(),
        CHECKPOINT_KEY.into(),
        properties.to_string().into(),
        kept.body.to_vec().into(),
    ];
    fixture.rows(keeping, values).await;
    fixture.run_consumer_as(each_on_its_own(), consumer());
    fixture.becomes(&id(&kept), "done").await;
    let seen = async || fixture.stream().await;
    eventually_is("it is followed", Some((1, 3)), seen).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_is_no_checkpoint_is_dead(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let (_, mut zero) = checkpoint(0, 1, now_ms());
    let number = message(&zero);
    zero.number = 1;
    zero.published[0].event_ids.push(vec![1, 2, 3]);
    let id_of_three_bytes = message(&zero);
    let mut bytes = message(&zero);
    bytes.body = vec![0xff; 8].into();
    let broken = [number, id_of_three_bytes, bytes];
    fixture.send(&each_on_its_own(), &broken).await;
    fixture.run_consumer_as(each_on_its_own(), consumer());
    for message in &broken {
        let dead = fixture.becomes(&id(message), "dead").await;
        assert!(dead.cause.unwrap().contains("undecodable"));
    }
    assert_eq!(fixture.stream().await, None);
    fixture.stop().await;
}
