//! An observer of an aggregate gets each of its events once and in order, with and without a handler.

use messaging::transport::Binding;
use messaging::{Advanced, Delivered, HandlerError, Subscriptions, Transaction};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{QUEUE, change, execute};
use crate::events::{Audited, Changed, EXCHANGE, Failure, Renamed, id, message};
use crate::fixture::Fixture;

const OBSERVED: &str = "observed";

fn observed() -> Subscriptions {
    Subscriptions::new(QUEUE)
        .in_order::<Changed>(change)
        .observe::<Audited>(observe)
}

async fn observe(
    transaction: &Transaction,
    account: Advanced,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    let values = [
        delivered.envelope.id.to_string().into(),
        account.aggregate_id.into(),
        account.version.into(),
        OBSERVED.into(),
    ];
    let inserting =
        "INSERT INTO effect (event_id, account, version, note, attempt, correlation_id, trace_id)
                     VALUES ($1, $2, $3, $4, 1, '', '')";
    execute(transaction, inserting, values).await?;
    Ok(())
}

async fn effects(fixture: &Fixture) -> Vec<(String, i64)> {
    let written = "SELECT note, version FROM effect WHERE account = 'a' ORDER BY position";
    let rows = fixture.rows(written, []).await;
    let effect = |row: &sea_orm::QueryResult| {
        let note: String = row.try_get("", "note").unwrap();
        (note, row.try_get("", "version").unwrap())
    };
    rows.iter().map(effect).collect()
}

fn handled(version: i64) -> (String, i64) {
    (String::new(), version)
}

fn seen(version: i64) -> (String, i64) {
    (OBSERVED.to_owned(), version)
}

#[rstest]
#[tokio::test]
async fn each_event_is_observed_in_order_before_its_handler(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values([0, 1, 2], [2, 1, 0])] arrival: [usize; 3],
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let audited = Audited {
        account: "a".to_owned(),
    };
    let events = [
        message(&Changed::of("a"), 1),
        message(&audited, 2),
        message(&Changed::of("a"), 3),
    ];
    let arriving = arrival.map(|index| &events[index]);
    fixture.send(&observed(), arriving).await;
    fixture.run_consumer(observed());
    let expected = vec![seen(1), handled(1), seen(2), seen(3), handled(3)];
    eventually_is("all are observed", expected, async || {
        effects(&fixture).await
    })
    .await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_an_observer_wrote_is_undone_with_a_handler_that_fails(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let event = message(&Changed::failing("a", 2, Failure::Retry), 1);
    fixture.send(&observed(), [&event]).await;
    fixture.run_consumer(observed());
    fixture.becomes(&id(&event), "done").await;
    assert_eq!(effects(&fixture).await, [seen(1), handled(1)]);
    fixture.stop().await;
}

/// Also types without a line in the table.
#[test]
fn an_observer_alone_binds_all_events_of_its_aggregate() {
    let subscriptions = Subscriptions::new(QUEUE).observe::<Audited>(observe);
    let bound = |pattern: &str| Binding {
        exchange: EXCHANGE.to_owned(),
        pattern: pattern.to_owned(),
    };
    let bindings: Vec<Binding> = subscriptions.queue().bindings.into_iter().collect();
    assert_eq!(bindings, [bound("account.#"), bound("checkpoint.taken")]);
}

#[rstest]
#[tokio::test]
async fn a_skipped_event_of_an_unknown_type_is_observed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let unknown = message(&Renamed::of("a"), 1);
    let after = message(&Changed::of("a"), 2);
    fixture.send(&observed(), [&unknown, &after]).await;
    fixture.run_consumer(observed());
    let expected = vec![seen(1), seen(2), handled(2)];
    eventually_is("both are observed", expected, async || {
        effects(&fixture).await
    })
    .await;
    fixture.becomes(&id(&unknown), "skipped").await;
    fixture.stop().await;
}
