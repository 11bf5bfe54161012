//! Dead letters can expire; the decisions about them are kept longer.

use std::time::Duration;

use messaging::dead_letters::DeadLetters;
use messaging::{Engine, EngineConfig, Participant, Retention};
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::{QUEUE, in_order};
use crate::events::{Changed, EXCHANGE, Failure, id, message};
use crate::fixture::Fixture;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn keeping(
    fixture: &mut Fixture,
    retention: Retention,
    check: impl AsyncFn(&Fixture) -> bool,
) {
    fixture.look_soon();
    let participant = Participant {
        service: "test",
        exchanges: &[EXCHANGE],
        subscriptions: Some(in_order()),
    };
    let broker = fixture.broker.of_services([&participant.topology()]);
    let config = EngineConfig {
        retention: Retention {
            every: Duration::from_millis(100),
            ..retention
        },
        ..EngineConfig::default()
    };
    let engine = Engine::new(&fixture.store, &broker, participant, config);
    let (stop, committed) = (CancellationToken::new(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(engine.run(stop.clone(), committed.clone()));
    eventually("it is as it should be", async || {
        match check(fixture).await {
            true => Ok(()),
            false => Err(fixture.inbox().await),
        }
    })
    .await;
    stop.cancel();
    committed.cancel();
    running.join_next().await.unwrap().unwrap();
}

async fn is_empty(fixture: &Fixture, table: &str) -> bool {
    let any = format!("SELECT 1 AS one FROM {table} LIMIT 1");
    fixture.rows(&any, []).await.is_empty()
}

#[rstest]
#[tokio::test]
async fn a_dead_letter_past_its_age_is_discarded_for_the_record(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let first = message(&Changed::of("a"), 1);
    let old = message(&Changed::failing("a", 99, Failure::Reject), 2);
    let behind = message(&Changed::of("a"), 3);
    let young = message(&Changed::failing("b", 99, Failure::Reject), 1);
    let replayed = message(&Changed::failing("c", 99, Failure::Reject), 1);
    let all = [&first, &old, &behind, &young, &replayed];
    fixture.send(&in_order(), all).await;
    fixture.run_consumer(in_order());
    for dead in [&old, &young, &replayed] {
        fixture.becomes(&id(dead), "dead").await;
    }
    fixture.becomes(&id(&behind), "waiting").await;
    fixture.stop().await;
    let long_ago =
        "UPDATE angarium_inbox SET received_at = {time of 1} WHERE event_id <> {uuid $1}";
    fixture.rows(long_ago, [id(&young).into()]).await;
    let failed =
        "UPDATE angarium_inbox SET last_failed_at = {time of 1} WHERE event_id = {uuid $1}";
    fixture.rows(failed, [id(&old).into()]).await;

    let retention = Retention {
        dead_letters: Some(DAY),
        ..Retention::default()
    };
    keeping(&mut fixture, retention, async |fixture| {
        fixture.versions("a").await == [1, 3]
    })
    .await;
    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    let decisions = letters.decisions(&id(&old)).await.unwrap();
    let [decision] = decisions.as_slice() else {
        panic!("one decision: {decisions:?}");
    };
    assert!(!decision.replayed);
    assert_eq!(decision.actor, "retention");
    let reason = "it was dead for longer than DEAD_LETTER_RETENTION (1day)";
    assert_eq!(decision.reason, reason);
    assert_eq!(fixture.held(&id(&young)).await.unwrap().state, "dead");
    assert_eq!(fixture.held(&id(&replayed)).await.unwrap().state, "dead");
}

#[rstest]
#[tokio::test]
async fn decisions_outlive_the_events_that_they_are_about(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, BrokerKind::Embedded).await;
    let dead = message(&Changed::failing("a", 99, Failure::Reject), 1);
    fixture.send(&in_order(), [&dead]).await;
    fixture.run_consumer(in_order());
    fixture.becomes(&id(&dead), "dead").await;
    let letters = DeadLetters::new(fixture.store.clone(), QUEUE);
    assert!(letters.discard(&id(&dead), "ada", "a test").await.unwrap());
    eventually("it is passed over", async || {
        let settled = "SELECT 1 AS one FROM angarium_inbox WHERE settled_at IS NOT NULL";
        (!fixture.rows(settled, []).await.is_empty())
            .then_some(())
            .ok_or("it is not")
    })
    .await;
    fixture.stop().await;
    for (table, column) in [
        ("angarium_inbox", "settled_at"),
        ("angarium_dead_letter_decision", "decided_at"),
    ] {
        let days_ago = format!("UPDATE {table} SET {column} = {{time - 1728000000}}");
        fixture.rows(&days_ago, []).await;
    }

    let a_month = Retention {
        decisions: 30 * DAY,
        ..Retention::default()
    };
    keeping(&mut fixture, a_month, async |fixture| {
        is_empty(fixture, "angarium_inbox").await
    })
    .await;
    let decisions = letters.audit(0, 10).await.unwrap();
    let [decision] = decisions.as_slice() else {
        panic!("one decision: {decisions:?}");
    };
    assert_eq!(decision.event_id, id(&dead));
    let event_type = decision.event_type.as_deref();
    assert_eq!(event_type, Some("test.account.v1.Changed"));
    assert_eq!(letters.audit(decision.sequence, 10).await.unwrap(), []);
    assert_eq!(letters.decisions(&id(&dead)).await.unwrap(), decisions);

    let two_weeks = Retention {
        decisions: 14 * DAY,
        ..Retention::default()
    };
    keeping(&mut fixture, two_weeks, async |fixture| {
        is_empty(fixture, "angarium_dead_letter_decision").await
    })
    .await;
}
