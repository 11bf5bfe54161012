//! Unroutable events: only they and the events behind them wait.

use std::time::Duration;

use messaging::transport::Confirmation;
use messaging::{BeginError, Engine, EngineConfig, OverBudget, Participant, outbox};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind, eventually, eventually_is};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::each_on_its_own;
use crate::events::{Changed, EXCHANGE};
use crate::fixture::{Fixture, NEVER, cause};
use crate::log::Log;
use crate::scripted::{Publication, Scripted};

struct Publishing {
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Publishing {
    async fn start(fixture: &mut Fixture, config: EngineConfig) -> Self {
        fixture.look_soon();
        let participant = Participant {
            service: "test",
            exchanges: &[EXCHANGE],
            subscriptions: None,
        };
        let broker = fixture.broker.of_services([&participant.topology()]);
        let engine = Engine::new(&fixture.store, &broker, participant, config);
        engine.declare().await.unwrap();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(engine.run(stop.clone(), stop.clone()));
        Self { stop, running }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        self.running.join_next().await.unwrap().unwrap();
    }
}

async fn aside(fixture: &Fixture) -> (usize, usize) {
    let of_the_rows = "SELECT unroutable_since IS NOT NULL AS is_unroutable FROM angarium_outbox
                       WHERE set_aside_at IS NOT NULL";
    let rows = fixture.rows(of_the_rows, []).await;
    let is_unroutable = |row: &&sea_orm::QueryResult| row.try_get("", "is_unroutable").unwrap();
    let unroutable = rows.iter().filter(is_unroutable);
    (unroutable.count(), rows.len())
}

async fn refusal(fixture: &Fixture) -> Option<OverBudget> {
    match fixture.store.begin_command().await {
        Ok(transaction) => {
            transaction.rollback().await.unwrap();
            None
        }
        Err(BeginError::OverBudget(over)) => Some(over),
        Err(error) => panic!("{error}"),
    }
}

#[rstest]
#[tokio::test]
async fn an_event_that_no_queue_takes_stops_no_commands(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    const BUDGET: Duration = Duration::from_secs(2);
    let mut fixture = Fixture::new(store, broker).await;
    let config = EngineConfig {
        outbox_budget: BUDGET,
        ..EngineConfig::default()
    };
    let engine = Publishing::start(&mut fixture, config).await;
    for version in 1..=3 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    let committed = std::time::Instant::now();
    eventually_is("they are set aside", (3, 3), async || aside(&fixture).await).await;
    // On a slow machine they may have been too old before that.
    eventually_is("commands are taken", None, async || refusal(&fixture).await).await;
    eventually("they are older than the budget allows", async || {
        assert_eq!(refusal(&fixture).await, None);
        match committed.elapsed() {
            age if age > 3 * BUDGET => Ok(()),
            age => Err(age),
        }
    })
    .await;
    assert_eq!(aside(&fixture).await, (3, 3));
    engine.stop().await;
}

#[rstest]
#[tokio::test]
async fn too_many_of_them_are_refused_with_a_reason_of_its_own(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let config = EngineConfig {
        outbox_budget: NEVER,
        outbox_max_pending: 3,
        ..EngineConfig::default()
    };
    let engine = Publishing::start(&mut fixture, config).await;
    for account in ["a", "b", "c"] {
        fixture.commit(&Changed::of(account), 1).await;
    }
    eventually_is("they are set aside", (3, 3), async || aside(&fixture).await).await;
    assert_eq!(refusal(&fixture).await, None);
    fixture.commit(&Changed::of("a"), 2).await;
    eventually_is(
        "there are too many",
        Some(OverBudget::Pending),
        async || refusal(&fixture).await,
    )
    .await;
    assert_eq!(OverBudget::Pending.reason(), "OUTBOX_FULL");

    fixture
        .transport(&each_on_its_own())
        .declare()
        .await
        .unwrap();
    fixture.all_is_published().await;
    eventually_is("commands are taken", None, async || refusal(&fixture).await).await;
    engine.stop().await;
}

#[tokio::test]
async fn the_log_names_event_exchange_key_and_since_when() {
    // With a second subscriber, tracing does not cache the answer of the one below for all threads.
    let (_statements, _listening) = testkit::Statements::listen();
    let (log, _logging) = Log::listen();
    let (mut fixture, mut published) = relaying(StoreKind::Postgres).await;
    let event = fixture.commit(&Changed::of("a"), 1).await;
    for _ in 0..2 {
        next(&mut published).await.answer(Confirmation::Unrouted);
    }
    let lines = eventually("it is logged twice", async || {
        let text = log.text();
        let is_it = |line: &&str| line.contains("the broker did not take events");
        let lines: Vec<String> = text.lines().filter(is_it).map(str::to_owned).collect();
        (lines.len() == 2).then_some(lines).ok_or(text)
    })
    .await;
    for line in &lines {
        let event = event.to_string();
        for part in [
            &event,
            "exchange=\"account_events\"",
            "routing_key=\"account.changed\"",
            "since=20",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    fixture.stop().await;
}

/// A refusal is back-pressure: refused events keep their age.
#[rstest]
#[tokio::test]
async fn what_the_broker_refuses_counts_against_the_budget(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (mut fixture, mut published) = relaying(store).await;
    for version in 1..=2 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    let full = Confirmation::Refused("the queue is full".to_owned());
    next(&mut published).await.answer(full);
    eventually_is("both are set aside", (0, 2), async || aside(&fixture).await).await;
    next(&mut published).await.answer(Confirmation::Unrouted);
    eventually_is("it has no queue", true, async || {
        aside(&fixture).await.0 > 0
    })
    .await;
    next(&mut published)
        .await
        .answer(Confirmation::Refused("the queue is full".to_owned()));
    eventually_is("it counts again", 0, async || aside(&fixture).await.0).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_waits_behind_it_follows_at_once_and_in_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (mut fixture, mut published) = relaying(store).await;
    fixture.commit(&Changed::of("a"), 1).await;
    next(&mut published).await.answer(Confirmation::Unrouted);
    for version in 2..=4 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    eventually_is("all are set aside", 4, async || aside(&fixture).await.1).await;
    fixture.commit(&Changed::of("b"), 1).await;
    let mut order = Vec::new();
    while order.len() < 5 {
        let publication = next(&mut published).await;
        order.push(publication.event());
        publication.answer(Confirmation::Routed);
    }
    let of_a = order.iter().filter(|event| event.0 == "a");
    let versions: Vec<i64> = of_a.map(|event| event.1).collect();
    assert_eq!(versions, [1, 2, 3, 4]);
    fixture.all_is_published().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn however_many_wait_behind_it_they_keep_no_other_event(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    const MANY: i64 = 2000;
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    for version in 1..=MANY {
        outbox::enqueue(&transaction, &Changed::of("a"), version, &cause()).unwrap();
    }
    transaction.commit().await.unwrap();
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    next(&mut published).await.answer(Confirmation::Unrouted);
    eventually_is("all are set aside", MANY as usize, async || {
        aside(&fixture).await.1
    })
    .await;
    fixture.commit(&Changed::of("b"), 1).await;
    loop {
        let publication = next(&mut published).await;
        if publication.event().0 == "b" {
            publication.answer(Confirmation::Routed);
            break;
        }
        assert_eq!(publication.event(), ("a".to_owned(), 1));
        publication.answer(Confirmation::Unrouted);
    }
    fixture.stop().await;
}

/// An operator may delete the event before them.
#[rstest]
#[tokio::test]
async fn what_waits_behind_an_event_that_is_gone_is_published(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (mut fixture, mut published) = relaying(store).await;
    for version in 1..=2 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    next(&mut published).await.answer(Confirmation::Unrouted);
    eventually_is("both are set aside", 2, async || aside(&fixture).await.1).await;
    let db = fixture.store.connection();
    for statement in [
        "DELETE FROM angarium_outbox WHERE aggregate_version = 1",
        "UPDATE angarium_outbox SET due_at = created_at",
    ] {
        db.execute_unprepared(statement).await.unwrap();
    }
    loop {
        let publication = next(&mut published).await;
        let version = publication.event().1;
        publication.answer(Confirmation::Routed);
        if version == 2 {
            break;
        }
    }
    fixture.all_is_published().await;
    fixture.stop().await;
}

async fn relaying(store: StoreKind) -> (Fixture, UnboundedReceiver<Publication>) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let (transport, published) = Scripted::new(0);
    fixture.look_soon();
    fixture.run_relay(transport);
    (fixture, published)
}

async fn next(published: &mut UnboundedReceiver<Publication>) -> Publication {
    eventually("something is published", async || {
        published.recv().await.ok_or("the relay has ended")
    })
    .await
}

/// As if the process or the database failed between marking the first event and releasing the others.
#[rstest]
#[tokio::test]
async fn events_behind_go_out_together_where_their_release_was_lost(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    for version in 1..=5 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    for sql in [
        "UPDATE angarium_outbox SET set_aside_at = created_at, unroutable_since = created_at, due_at = created_at",
        "DELETE FROM angarium_outbox WHERE aggregate_version = 1",
    ] {
        let db = fixture.store.connection();
        db.execute_unprepared(sql).await.unwrap();
    }
    let (transport, mut published) = Scripted::new(0);
    fixture.run_relay(transport);
    for version in 2..=5 {
        let next = tokio::time::timeout(Duration::from_secs(20), published.recv()).await;
        let publication = next.expect("not a minute later").unwrap();
        assert_eq!(publication.event(), ("a".to_owned(), version));
        publication.answer(Confirmation::Routed);
    }
    fixture.all_is_published().await;
    fixture.stop().await;
}
