//! From a delivery to one effect.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use messaging::{ConsumerConfig, Delivered, HandlerError, Subscriptions, Transaction};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind, eventually_is};
use tokio::sync::Semaphore;

use crate::effects::{QUEUE, change, each_on_its_own};
use crate::events::{Changed, Failure, id, message};
use crate::fixture::{Fixture, consumer_config};

#[rstest]
#[tokio::test]
async fn an_event_that_is_delivered_twice_has_one_effect(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let (twice, after) = (message(&Changed::of("a"), 1), message(&Changed::of("a"), 2));
    fixture
        .send(&each_on_its_own(), [&twice, &twice, &after])
        .await;
    fixture.run_consumer(each_on_its_own());
    eventually_is(
        "both had their effect",
        vec![id(&twice), id(&after)],
        async || fixture.handled().await,
    )
    .await;
    let last = message(&Changed::of("a"), 3);
    fixture.send(&each_on_its_own(), [&twice, &last]).await;
    let expected = vec![id(&twice), id(&after), id(&last)];
    eventually_is("no more than once", expected, async || {
        fixture.handled().await
    })
    .await;
    fixture.stop().await;
    eventually_is("all is acknowledged", 0, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn an_event_is_acknowledged_only_once_its_effect_is_committed(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(StoreKind::Postgres, broker).await;
    let blocker = store::Transaction::begin(fixture.store.connection())
        .await
        .unwrap();
    blocker
        .execute_unprepared("LOCK TABLE effect IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let event = message(&Changed::of("a"), 1);
    fixture.send(&each_on_its_own(), [&event]).await;
    fixture.run_consumer(each_on_its_own());
    let waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    eventually_is("the handler waits for the table", 1, async || {
        fixture.rows(waiting, []).await.len()
    })
    .await;
    fixture.abort().await;
    blocker.rollback().await.unwrap();
    assert_eq!(fixture.handled().await, Vec::<String>::new());
    fixture.run_consumer(each_on_its_own());
    eventually_is("it is handled", vec![id(&event)], async || {
        fixture.handled().await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn two_replicas_share_the_work_and_each_event_has_one_effect(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let events: Vec<_> = (0..60)
        .map(|number| message(&Changed::of(&(number % 7).to_string()), number / 7 + 1))
        .collect();
    // Everything twice, as after a relay that died between publishing and marking.
    fixture
        .send(&each_on_its_own(), events.iter().chain(&events))
        .await;
    fixture.run_consumer(each_on_its_own());
    fixture.run_consumer(each_on_its_own());
    let mut expected: BTreeSet<String> = events.iter().map(id).collect();
    eventually_is("each had its effect", expected.clone(), async || {
        fixture.handled().await.into_iter().collect()
    })
    .await;
    fixture.stop().await;
    // One later delivery repeats each event, before the last of its aggregate and in its lane.
    let last: Vec<_> = (0..7)
        .map(|number| message(&Changed::of(&number.to_string()), 1000))
        .collect();
    fixture.send(&each_on_its_own(), &last).await;
    fixture.run_consumer(each_on_its_own());
    expected.extend(last.iter().map(id));
    eventually_is("the last had theirs", expected.clone(), async || {
        fixture.handled().await.into_iter().collect()
    })
    .await;
    fixture.stop().await;
    assert_eq!(fixture.handled().await.len(), expected.len());
}

#[rstest]
#[tokio::test]
async fn a_batch_in_which_one_fails_handles_the_others_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let bad = message(&Changed::failing("a", 99, Failure::Reject), 3);
    let mut events: Vec<_> = [1, 2, 4, 5]
        .map(|version| message(&Changed::of("a"), version))
        .into();
    events.insert(2, bad.clone());
    // One batch: one lane, and all events are in the queue first.
    fixture.send(&each_on_its_own(), &events).await;
    fixture.run_consumer(each_on_its_own());
    fixture.becomes(&id(&bad), "dead").await;
    eventually_is(
        "the others had their effect",
        vec![1, 2, 4, 5],
        async || fixture.versions("a").await,
    )
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_stop_finishes_what_was_begun_and_leaves_the_rest(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    // The cases share the gates.
    static TURN: Semaphore = Semaphore::const_new(1);
    static BEGUN: Semaphore = Semaphore::const_new(0);
    static MAY_END: Semaphore = Semaphore::const_new(0);
    async fn gated(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        BEGUN.add_permits(1);
        MAY_END.acquire().await.unwrap().forget();
        change(transaction, event, delivered).await
    }
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(gated);

    let _turn = TURN.acquire().await.unwrap();
    let mut fixture = Fixture::new(store, broker).await;
    let (begun, rest) = (message(&Changed::of("a"), 1), message(&Changed::of("a"), 2));
    fixture.send(&subscriptions(), [&begun]).await;
    fixture.run_consumer(subscriptions());
    BEGUN.acquire().await.unwrap().forget();
    fixture.send(&subscriptions(), [&rest]).await;
    fixture.begin_stop();
    MAY_END.add_permits(1);
    fixture.stop().await;
    assert_eq!(fixture.handled().await, [id(&begun)]);
    eventually_is("the rest is in the queue", 1, async || {
        fixture.broker.messages(QUEUE).await
    })
    .await;
}

#[tokio::test]
async fn a_lost_database_connection_costs_no_attempt_and_no_event() {
    static LEFT: AtomicU32 = AtomicU32::new(2);
    async fn disconnecting(
        transaction: &Transaction,
        event: Changed,
        delivered: &Delivered,
    ) -> Result<(), HandlerError> {
        let one_less = |left: u32| left.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        if LEFT.fetch_update(set, get, one_less).is_ok() {
            let ending = "SELECT pg_terminate_backend(pg_backend_pid())";
            transaction.execute_unprepared(ending).await?;
        }
        change(transaction, event, delivered).await
    }
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(disconnecting);
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    fixture.run_consumer(subscriptions());
    let held = fixture.becomes(&id(&event), "done").await;
    assert_eq!(held.attempts, 0);
    assert_eq!(fixture.handled().await, [id(&event)]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_prefetch_and_a_lane_of_one_are_enough(
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(StoreKind::Sqlite, broker).await;
    let events: Vec<_> = (1..=10)
        .map(|version| message(&Changed::of("a"), version))
        .collect();
    fixture.send(&each_on_its_own(), &events).await;
    let config = ConsumerConfig {
        prefetch: 1,
        lanes: 1,
        ..consumer_config()
    };
    fixture.run_consumer_as(each_on_its_own(), config);
    eventually_is("all are handled", (1..=10).collect(), async || {
        fixture.versions("a").await
    })
    .await;
    fixture.stop().await;
}

/// On PostgreSQL, nothing is kept of such a transaction.
#[rstest]
#[tokio::test]
async fn a_handler_that_ignores_a_failed_statement_is_not_done(
    #[values(StoreKind::Postgres)] store: StoreKind,
    #[values(false, true)] ordered: bool,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let subscriptions = || match ordered {
        true => crate::effects::in_order(),
        false => each_on_its_own(),
    };
    let careless = message(&Changed::failing("a", 1, Failure::Swallow), 1);
    let neighbour = message(&Changed::of("b"), 1);
    fixture
        .send(&subscriptions(), [&careless, &neighbour])
        .await;
    fixture.run_consumer(subscriptions());
    let held = fixture.becomes(&id(&careless), "done").await;
    assert_eq!(held.attempts, 1);
    fixture.becomes(&id(&neighbour), "done").await;
    let handled: BTreeSet<String> = fixture.handled().await.into_iter().collect();
    assert_eq!(handled, BTreeSet::from([id(&careless), id(&neighbour)]));
    fixture.stop().await;
}
