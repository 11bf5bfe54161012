//! A batch handler takes events that arrived together in one call, with the guarantees of a single-event handler.

use messaging::trace::{self, TraceContext};
use messaging::{HandlerError, Received, Subscriptions, Transaction};
use rstest::rstest;
use serde_json::json;
use store::sql;
use testkit::{BrokerKind, StoreKind, eventually_is};
use uuid::Uuid;

use crate::effects::{QUEUE, change, execute};
use crate::events::{Changed, Failure, Renamed, id, message, message_in};
use crate::fixture::Fixture;
use crate::trace::tracing_to_memory;

pub(crate) async fn change_all(
    transaction: &Transaction,
    events: Vec<Received<'_, Changed>>,
) -> Result<(), HandlerError> {
    let together = events.len();
    let rows = events.iter().map(|received| {
        let envelope = &received.delivered.envelope;
        let trace = received.in_scope(trace::current);
        let columns = [
            ("event_id", json!(envelope.id.to_string())),
            ("account", json!(received.event.account)),
            ("version", json!(envelope.aggregate_version)),
            ("note", json!(together.to_string())),
            ("attempt", json!(received.delivered.attempt)),
            ("trace_id", json!(trace.trace_id().unwrap_or_default())),
        ];
        let columns = columns.map(|(name, value)| (name.to_owned(), value));
        columns.into_iter().collect()
    });
    let inserting = "
        INSERT INTO effect (event_id, account, version, note, attempt, correlation_id, trace_id)
        SELECT event_id, account, version, note, attempt, '', trace_id
        FROM {list $1: event_id text, account text, version bigint, note text, attempt bigint, trace_id text}";
    execute(transaction, inserting, [sql::list(rows)]).await?;
    let fails = |received: &Received<'_, Changed>| {
        let event = &received.event;
        event.failures > 0 && received.delivered.attempt <= event.failures
    };
    match events.iter().find(|received| fails(received)) {
        Some(received) if received.event.failure() == Failure::Reject => {
            Err(HandlerError::reject("not ever"))
        }
        Some(_) => Err(HandlerError::retry("not yet")),
        None => Ok(()),
    }
}

pub(crate) fn each_in_batches() -> Subscriptions {
    Subscriptions::new(QUEUE).on_batch::<Changed>(change_all)
}

pub(crate) fn in_order_in_batches() -> Subscriptions {
    Subscriptions::new(QUEUE).in_order_batch::<Changed>(change_all)
}

async fn together(fixture: &Fixture) -> Vec<usize> {
    let rows = fixture.rows("SELECT note FROM effect", []).await;
    let note = |row: &sea_orm::QueryResult| row.try_get::<String>("", "note").unwrap();
    rows.iter().map(|row| note(row).parse().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn events_that_arrived_together_share_a_call(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
    #[values(each_in_batches, in_order_in_batches)] subscriptions: fn() -> Subscriptions,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let events: Vec<_> = (1..=20)
        .map(|version| message(&Changed::of("a"), version))
        .collect();
    fixture.send(&subscriptions(), &events).await;
    fixture.run_consumer(subscriptions());
    let versions: Vec<i64> = (1..=20).collect();
    eventually_is("all had their effect", versions, async || {
        fixture.versions("a").await
    })
    .await;
    let most = together(&fixture).await.into_iter().max();
    assert!(most > Some(1), "{most:?} in one call");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn one_that_fails_costs_its_neighbours_no_attempt(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let mut events: Vec<_> = ["a", "b", "c", "d"]
        .map(|account| message(&Changed::of(account), 1))
        .into();
    let bad = message(&Changed::failing("bad", 9, Failure::Reject), 1);
    let late = message(&Changed::failing("late", 2, Failure::Retry), 1);
    events.extend([bad.clone(), late.clone()]);
    fixture.send(&each_in_batches(), &events).await;
    fixture.run_consumer(each_in_batches());
    for event in events.iter().filter(|event| id(event) != id(&bad)) {
        let attempts = if id(event) == id(&late) { 2 } else { 0 };
        let done = fixture.becomes(&id(event), "done").await;
        assert_eq!(done.attempts, attempts, "failed attempts at {done:?}");
    }
    fixture.becomes(&id(&bad), "dead").await;
    let mut accounts: Vec<_> = fixture.effects().await.into_iter().collect();
    accounts.sort_by(|one, other| one.account.cmp(&other.account));
    let accounts: Vec<_> = accounts.iter().map(|effect| &effect.account[..]).collect();
    assert_eq!(accounts, ["a", "b", "c", "d", "late"]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_accounts_events_of_two_types_keep_their_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    async fn renamed(
        transaction: &Transaction,
        event: Renamed,
        delivered: &messaging::Delivered,
    ) -> Result<(), HandlerError> {
        change(transaction, Changed::of(&event.account), delivered).await
    }
    let subscriptions = || in_order_in_batches().in_order::<Renamed>(renamed);
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let accounts = ["a", "b"];
    let mut events = Vec::new();
    for version in 1..=12 {
        events.extend(accounts.map(|account| match version % 3 {
            0 => message(&Renamed::of(account), version),
            _ => message(&Changed::of(account), version),
        }));
    }
    fixture.send(&subscriptions(), &events).await;
    fixture.run_consumer(subscriptions());
    for account in accounts {
        let versions: Vec<i64> = (1..=12).collect();
        eventually_is("all had their effect in order", versions, async || {
            fixture.versions(account).await
        })
        .await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn each_event_of_a_batch_stays_in_its_own_trace() {
    let (_spans, _tracing) = tracing_to_memory();
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let (mut events, mut traces) = (Vec::new(), Vec::new());
    for version in 1..=8 {
        let header = format!("00-{:032x}-00000000000000a1-01", Uuid::now_v7().as_u128());
        let trace = TraceContext::accept(Some(&header), None, None);
        traces.push(trace.trace_id().unwrap().to_owned());
        events.push(message_in(&Changed::of("a"), version, trace));
    }
    fixture.send(&each_in_batches(), &events).await;
    fixture.run_consumer(each_in_batches());
    eventually_is("each effect is in its event's trace", traces, async || {
        let mut effects = fixture.effects().await;
        effects.sort_by_key(|effect| effect.version);
        effects.into_iter().map(|effect| effect.trace_id).collect()
    })
    .await;
    assert!(together(&fixture).await.into_iter().max() > Some(1));
    fixture.stop().await;
}
