//! A producer that was restored without its last commits: what it has lost, and the decision by which the consumer
//! follows it.

use futures::FutureExt as _;
use messaging::repair::{
    Accepted, By, History, Lost, Received, Repair, Restored, Stored, TakeBack,
};
use rstest::rstest;
use sea_orm::DbErr;
use testkit::{Stack, eventually_is};

use crate::effects::{execute, in_order};
use crate::events::Changed;
use crate::fixture::Fixture;
use crate::missing::{consumer, relay};

const WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);

fn by() -> By {
    By {
        actor: "ada".to_owned(),
        reason: "the database was restored".to_owned(),
    }
}

fn repair(fixture: &Fixture) -> Repair {
    Repair::new(fixture.store.clone(), &in_order(), 2 * WEEK)
}

async fn received(fixture: &Fixture) -> Vec<Received> {
    let (repair, mut all, mut after) = (repair(fixture), Vec::new(), None);
    loop {
        let page = repair.received("test", 0, after, 2).await.unwrap();
        let Some(last) = page.last() else {
            return all;
        };
        after = Some(last.event_id.parse().unwrap());
        all.extend(page);
    }
}

async fn lost(fixture: &Fixture) -> Vec<Lost> {
    let history = History::new(fixture.store.clone(), "test", WEEK);
    let mut lost = history.lost(&received(fixture).await).await.unwrap();
    lost.sort_by_key(|lost| lost.event.version);
    lost
}

/// Account `a`: versions 1 to 3 were handled, and those from `version` on are lost at the producer.
async fn restored_to(stack: Stack, version: i64) -> Fixture {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = fixture.transport(&in_order());
    transport.declare().await.unwrap();
    fixture.run_relay_as(transport, relay());
    fixture.run_consumer_as(in_order(), consumer());
    for version in 1..=3 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    let seen = async || fixture.versions("a").await;
    eventually_is("all are handled", vec![1, 2, 3], seen).await;
    fixture.all_is_published().await;
    let losing = "DELETE FROM angarium_outbox_history WHERE aggregate_version >= $1";
    execute(fixture.store.connection(), losing, [version.into()])
        .await
        .unwrap();
    fixture
}

fn restored(version: i64) -> Restored<'static> {
    Restored {
        aggregate_type: "account",
        aggregate_id: "a",
        version,
        exists: true,
    }
}

#[rstest]
#[tokio::test]
async fn lost_versions_are_named_and_the_decision_ends_them(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = restored_to(stack, 2).await;
    let again = fixture.commit(&Changed::of("a"), 2).await.to_string();
    fixture.becomes(&again, "dead").await;
    let found = lost(&fixture).await;
    let named: Vec<_> = found
        .iter()
        .map(|lost| (lost.event.version, lost.other.clone()))
        .collect();
    assert_eq!(named, [(2, Some(again.clone())), (3, None)]);

    let accepted = Accepted {
        restored: restored(1),
        state: None,
        lost: found
            .iter()
            .map(|lost| lost.event.event_id.clone())
            .collect(),
    };
    let retried = repair(&fixture).accept_state(&accepted, None, &by()).await;
    assert_eq!(retried.unwrap(), 1);
    fixture.becomes(&again, "done").await;
    fixture.commit(&Changed::of("a"), 3).await;
    let seen = async || fixture.versions("a").await;
    let both_lines = vec![1, 2, 3, 2, 3];
    eventually_is("the new line is handled in order", both_lines, seen).await;
    assert_eq!(lost(&fixture).await, []);
    let retried = repair(&fixture).accept_state(&accepted, None, &by()).await;
    assert_eq!(retried.unwrap(), 0);
    let steps = repair(&fixture).record(0, 10).await.unwrap();
    let steps: Vec<_> = steps
        .iter()
        .map(|step| (step.action.as_str(), step.events))
        .collect();
    assert_eq!(steps, [("accepted", 2)]);
    fixture.commit(&Changed::of("a"), 4).await;
    let with_next = vec![1, 2, 3, 2, 3, 4];
    eventually_is("the next version follows", with_next, seen).await;
    fixture.stop().await;
}

/// No event brings the state, because the producer has not changed since the backup.
#[rstest]
#[tokio::test]
async fn a_state_at_the_common_version_replaces_the_lost_one(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = restored_to(stack, 3).await;
    let take_back: TakeBack = |transaction, restored| {
        async move {
            let row = "INSERT INTO effect (event_id, account, version, note, attempt, correlation_id, trace_id)
                       VALUES ('', $1, $2, 'taken back', 0, '', '')";
            let values = [restored.aggregate_id.into(), restored.version.into()];
            execute(transaction, row, values).await
        }
        .boxed()
    };
    let accepted = |lost: Vec<Lost>, state| Accepted {
        restored: restored(2),
        state: Some(Stored::of_state("test", &Changed::of("a"), state, 1_000)),
        lost: lost.into_iter().map(|lost| lost.event.event_id).collect(),
    };
    let handing = repair(&fixture);
    let first = accepted(lost(&fixture).await, 2);
    handing
        .accept_state(&first, Some(take_back), &by())
        .await
        .unwrap();
    let seen = async || fixture.versions("a").await;
    // The view that was taken back, and the state.
    let with_state = vec![1, 2, 3, 2, 2];
    eventually_is("the state is handled late", with_state.clone(), seen).await;
    fixture.commit(&Changed::of("a"), 3).await;
    let with_next = [with_state.as_slice(), &[3]].concat();
    eventually_is("the next version follows", with_next.clone(), seen).await;

    // Now the state is later, so its event brings it.
    fixture.all_is_published().await;
    let losing = "DELETE FROM angarium_outbox_history WHERE aggregate_version >= 3";
    execute(fixture.store.connection(), losing, [])
        .await
        .unwrap();
    let second = accepted(lost(&fixture).await, 9);
    handing.accept_state(&second, None, &by()).await.unwrap();
    for version in 3..=4 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    let with_last = [with_next.as_slice(), &[3, 4]].concat();
    eventually_is("only the events are handled", with_last, seen).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_decision_changes_no_other_aggregate(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = restored_to(stack, 2).await;
    let found = lost(&fixture).await;
    let before = found.len();
    assert!(before > 0);
    let other = Accepted {
        restored: Restored {
            aggregate_id: "b",
            ..restored(2)
        },
        state: None,
        lost: found.into_iter().map(|lost| lost.event.event_id).collect(),
    };
    let retried = repair(&fixture).accept_state(&other, None, &by()).await;
    assert_eq!(retried.unwrap(), 0);
    assert_eq!(lost(&fixture).await.len(), before);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_decision_is_committed_as_a_whole(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = restored_to(stack, 2).await;
    let again = fixture.commit(&Changed::of("a"), 2).await.to_string();
    fixture.becomes(&again, "dead").await;
    let refuses: TakeBack = |_, _| async { Err(DbErr::Custom("no".to_owned())) }.boxed();
    let accepted = Accepted {
        restored: restored(1),
        state: None,
        lost: received(&fixture)
            .await
            .into_iter()
            .map(|event| event.event_id)
            .collect(),
    };
    let refused = repair(&fixture)
        .accept_state(&accepted, Some(refuses), &by())
        .await;
    assert!(refused.is_err());
    assert_eq!(lost(&fixture).await.len(), 2);
    assert_eq!(repair(&fixture).record(0, 10).await.unwrap(), []);
    assert_eq!(fixture.held(&again).await.unwrap().state, "dead");
    fixture.stop().await;
}

/// The retention may have deleted it.
#[rstest]
#[tokio::test]
async fn an_event_past_the_retention_is_not_lost(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = restored_to(stack, 3).await;
    let received = received(&fixture).await;
    let short = std::time::Duration::from_secs(3600);
    let history = History::new(fixture.store.clone(), "test", short);
    assert_eq!(history.lost(&received).await.unwrap(), []);
    assert_eq!(lost(&fixture).await.len(), 1);
    fixture.stop().await;
}
