//! Replaying and discarding dead letters, in order and recorded.

use messaging::dead_letters::DeadLetters;
use messaging::{ConsumerConfig, Delivered, HandlerError, RetryPolicy, Subscriptions, Transaction};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{QUEUE, change, each_on_its_own, execute, in_order};
use crate::events::{Audited, Changed, Failure, id, message};
use crate::fixture::{Fixture, consumer_config};

pub(crate) async fn mended(
    transaction: &Transaction,
    event: Changed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let sound = Changed {
        failures: 0,
        ..event
    };
    change(transaction, sound, delivered).await
}

fn mended_in_order() -> Subscriptions {
    Subscriptions::new(QUEUE).in_order::<Changed>(mended)
}

fn dead_letters(fixture: &Fixture) -> DeadLetters {
    DeadLetters::new(fixture.store.clone(), QUEUE)
}

#[rstest]
#[tokio::test]
async fn a_replayed_event_has_one_effect_and_waiting_events_follow(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let first = message(&Changed::of("a"), 1);
    let second = message(&Changed::failing("a", 99, Failure::Reject), 2);
    let (third, fourth) = (message(&Changed::of("a"), 3), message(&Changed::of("a"), 4));
    let all = [&first, &second, &third, &fourth];
    fixture.send(&in_order(), all).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&second), "dead").await;
    fixture.becomes(&id(&fourth), "waiting").await;
    fixture.stop().await;

    let listed = dead_letters(&fixture).list(None, 10).await.unwrap();
    let [letter] = listed.as_slice() else {
        panic!("one is dead: {listed:?}");
    };
    assert_eq!(
        (letter.event_id.as_str(), letter.blocks),
        (id(&second).as_str(), 2)
    );
    assert_eq!((letter.aggregate_version, letter.attempts), (Some(2), 1));
    assert_eq!(letter.cause.as_deref(), Some("not ever"));
    assert_eq!(letter.message, second);

    fixture.run_consumer(mended_in_order());
    let replayed = dead_letters(&fixture)
        .replay(&id(&second), "ada", "mended in 1.2")
        .await;
    assert!(replayed.unwrap());
    fixture.becomes(&id(&fourth), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3, 4]);
    let again = dead_letters(&fixture)
        .replay(&id(&second), "ada", "again")
        .await;
    assert!(!again.unwrap(), "what is done is no dead letter");
    // The second delivery, before the fifth event in the same lane, has no effect either.
    let fifth = message(&Changed::of("a"), 5);
    fixture.send(&in_order(), [&second, &fifth]).await;
    fixture.becomes(&id(&fifth), "done").await;
    fixture.stop().await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3, 4, 5]);
}

#[rstest]
#[tokio::test]
async fn a_discarded_event_has_no_effect_and_waiting_events_follow(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let events: Vec<_> = [0, 99, 99, 0]
        .into_iter()
        .zip(1..)
        .map(|(failures, version)| {
            let event = Changed::failing("a", failures, Failure::Reject);
            message(&event, version)
        })
        .collect();
    fixture.send(&in_order(), &events).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&events[1]), "dead").await;
    fixture.becomes(&id(&events[3]), "waiting").await;
    let dead_letters = dead_letters(&fixture);
    assert!(
        dead_letters
            .discard(&id(&events[1]), "ada", "a test order")
            .await
            .unwrap()
    );
    fixture.becomes(&id(&events[2]), "dead").await;
    assert_eq!(fixture.versions("a").await, [1]);
    assert!(
        dead_letters
            .discard(&id(&events[2]), "ada", "another")
            .await
            .unwrap()
    );
    fixture.becomes(&id(&events[3]), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 4]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_discarded_before_its_turn_is_passed_over(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, second, third] = [1, 2, 3].map(|version| message(&Changed::of("a"), version));
    fixture.send(&in_order(), [&second, &third]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&third), "waiting").await;
    fixture.becomes(&id(&second), "waiting").await;
    // The broker gave it up before its predecessor arrived.
    let dying =
        "UPDATE angarium_inbox SET state = 'dead', due_at = NULL WHERE aggregate_version = 2";
    fixture.rows(dying, []).await;
    assert!(
        dead_letters(&fixture)
            .discard(&id(&second), "ada", "why not")
            .await
            .unwrap()
    );
    eventually_is("it was looked at and left", 1, async || {
        let left = "SELECT 1 FROM angarium_inbox WHERE state = 'discarded' AND {ms due_at} > {ms received_at} + 1000000";
        fixture.rows(left, []).await.len()
    })
    .await;
    fixture.send(&in_order(), [&first]).await;
    fixture.becomes(&id(&third), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 3]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_came_after_its_turn_is_handled_when_an_operator_says_so(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let [first, second, third] = [1, 2, 3].map(|version| message(&Changed::of("a"), version));
    let late = message(&Changed::of("a"), 2);
    fixture.send(&in_order(), [&first, &second, &late]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&late), "dead").await;
    assert!(
        dead_letters(&fixture)
            .replay(&id(&late), "ada", "it is missing")
            .await
            .unwrap()
    );
    fixture.becomes(&id(&late), "done").await;
    fixture.send(&in_order(), [&third]).await;
    fixture.becomes(&id(&third), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2, 2, 3]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_skipped_event_is_handled_after_its_replay(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    async fn audit(
        transaction: &Transaction,
        event: Audited,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        change(transaction, Changed::of(&event.account), delivered).await
    }
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut newer = message(
        &Audited {
            account: "a".to_owned(),
        },
        1,
    );
    newer.routing_key = "account.changed".to_owned();
    fixture.send(&each_on_its_own(), [&newer]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&newer), "skipped").await;
    fixture.stop().await;
    assert!(
        dead_letters(&fixture)
            .find(&id(&newer))
            .await
            .unwrap()
            .unwrap()
            .skipped
    );
    fixture.run_consumer(each_on_its_own().on::<Audited>(audit));
    assert!(
        dead_letters(&fixture)
            .replay(&id(&newer), "ada", "known since 1.3")
            .await
            .unwrap()
    );
    fixture.becomes(&id(&newer), "done").await;
    assert_eq!(fixture.handled().await, [id(&newer)]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_read_is_dead_again_and_loses_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut broken = message(&Changed::of("a"), 1);
    broken.content_type = Some("application/json".to_owned());
    fixture.send(&each_on_its_own(), [&broken]).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&broken), "dead").await;
    let dead_letters = dead_letters(&fixture);
    assert!(
        dead_letters
            .replay(&id(&broken), "ada", "trying")
            .await
            .unwrap()
    );
    eventually_is("it was tried and is dead again", Some(1), async || {
        let letter = dead_letters.find(&id(&broken)).await.unwrap();
        letter.map(|letter| letter.attempts)
    })
    .await;
    let letter = dead_letters.find(&id(&broken)).await.unwrap().unwrap();
    assert_eq!(letter.message, broken);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn all_of_a_type_are_replayed_once_even_if_they_fail_again(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let failing = |account: &str| message(&Changed::failing(account, 99, Failure::Retry), 1);
    let events: Vec<_> = (0..250)
        .map(|number| failing(&number.to_string()))
        .collect();
    let one_attempt = || ConsumerConfig {
        retry: RetryPolicy {
            attempts: 1,
            ..consumer_config().retry
        },
        ..consumer_config()
    };
    fixture.send(&each_on_its_own(), &events).await;
    fixture.run_consumer_as(each_on_its_own(), one_attempt());
    let dead = "SELECT 1 FROM angarium_inbox WHERE state = 'dead'";
    eventually_is("all are dead", events.len(), async || {
        fixture.rows(dead, []).await.len()
    })
    .await;

    let ahead = "UPDATE angarium_inbox SET received_at = {time + 31536000000}, replayed_at = {time + 31536000000}
                 WHERE event_id = {uuid $1}";
    let first = [id(&events[0]).into()];
    execute(fixture.store.connection(), ahead, first)
        .await
        .unwrap();
    let dead_letters = dead_letters(&fixture);
    let none = dead_letters
        .replay_all(Some("test.account.v1.Audited"), "ada", "no such")
        .await;
    assert_eq!(none.unwrap(), 0);
    let all = dead_letters
        .replay_all(Some("test.account.v1.Changed"), "ada", "trying")
        .await;
    assert_eq!(all.unwrap(), events.len() as u64);
    eventually_is("all are dead again", events.len(), async || {
        fixture.rows(dead, []).await.len()
    })
    .await;
    for event in &events {
        let decisions = dead_letters.decisions(&id(event)).await.unwrap();
        assert_eq!(decisions.len(), 1);
        assert!(decisions[0].replayed);
        assert_eq!(
            (decisions[0].actor.as_str(), decisions[0].reason.as_str()),
            ("ada", "trying")
        );
    }
    let (mut seen, mut last) = (Vec::new(), None);
    loop {
        let page = dead_letters.list(last.as_ref(), 100).await.unwrap();
        let Some(end) = page.last() else { break };
        last = Some(end.clone());
        seen.extend(page.into_iter().map(|letter| letter.event_id));
    }
    let mut sent: Vec<_> = events.iter().map(id).collect();
    sent.sort();
    seen.sort();
    assert_eq!(seen, sent);
    fixture.stop().await;
}
