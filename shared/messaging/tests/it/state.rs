//! The state of an aggregate, handed over as an event: for a consumer that no stored event helps any more.

use messaging::repair::{By, Repair, Stored};
use rstest::rstest;
use testkit::{Stack, eventually_is};

use crate::effects::in_order;
use crate::events::{Changed, id, message};
use crate::fixture::Fixture;
use crate::missing::consumer;

async fn hand_over(fixture: &Fixture, version: i64) -> u64 {
    let by = By {
        actor: "ada".to_owned(),
        reason: "a new consumer".to_owned(),
    };
    let state = Stored::of_state("test", &Changed::of("a"), version, 1_000);
    let week = std::time::Duration::from_secs(7 * 24 * 3600);
    let repair = Repair::new(fixture.store.clone(), &in_order(), week);
    repair.hand_over(&[state], &by, false).await.unwrap().new
}

#[rstest]
#[tokio::test]
async fn a_state_begins_an_order_and_is_taken_once(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    fixture.transport(&in_order()).declare().await.unwrap();
    fixture.run_consumer_as(in_order(), consumer());
    let seen = async || fixture.versions("a").await;
    assert_eq!(hand_over(&fixture, 5).await, 1);
    eventually_is("the order begins with it", vec![5], seen).await;
    assert_eq!(hand_over(&fixture, 5).await, 0);
    assert_eq!(hand_over(&fixture, 4).await, 1);
    eventually_is("it is late", vec![5, 4], seen).await;
    fixture
        .send(&in_order(), &[message(&Changed::of("a"), 6)])
        .await;
    eventually_is("the next event follows", vec![5, 4, 6], seen).await;
    let week = std::time::Duration::from_secs(7 * 24 * 3600);
    let repair = Repair::new(fixture.store.clone(), &in_order(), week);
    let received = repair.received("test", 0, None, 100).await.unwrap();
    let versions: Vec<i64> = received.iter().map(|event| event.version).collect();
    assert!(
        !versions.contains(&5) && !versions.contains(&4),
        "{versions:?}"
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_state_closes_the_gap_below_it(#[values(Stack::Servers, Stack::Embedded)] stack: Stack) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    fixture.run_consumer_as(in_order(), consumer());
    let [first, waits] = [1, 8].map(|version| message(&Changed::of("a"), version));
    fixture.send(&in_order(), [&first, &waits]).await;
    fixture.becomes(&id(&waits), "waiting").await;
    assert_eq!(hand_over(&fixture, 7).await, 1);
    let seen = async || fixture.versions("a").await;
    eventually_is("the waiting one follows", vec![1, 7, 8], seen).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_state_overtakes_no_held_event(#[values(Stack::Servers, Stack::Embedded)] stack: Stack) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    fixture.run_consumer_as(in_order(), consumer());
    let [first, waits, missing] = [1, 3, 2].map(|version| message(&Changed::of("a"), version));
    fixture.send(&in_order(), [&first, &waits]).await;
    fixture.becomes(&id(&waits), "waiting").await;
    assert_eq!(hand_over(&fixture, 5).await, 1);
    let state = Stored::of_state("test", &Changed::of("a"), 5, 1_000);
    fixture.becomes(&id(&state.message), "waiting").await;
    fixture.send(&in_order(), &[missing]).await;
    let seen = async || fixture.versions("a").await;
    eventually_is("the state comes last", vec![1, 2, 3, 5], seen).await;
    fixture.stop().await;
}

/// A message from the broker is an event, with any header.
#[rstest]
#[tokio::test]
async fn only_an_operator_hands_over_a_state(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    fixture.run_consumer_as(in_order(), consumer());
    let first = message(&Changed::of("a"), 1);
    let mut claims = message(&Changed::of("a"), 3);
    claims.set_state();
    fixture.send(&in_order(), [&first, &claims]).await;
    fixture.becomes(&id(&claims), "waiting").await;
    fixture
        .send(&in_order(), &[message(&Changed::of("a"), 2)])
        .await;
    fixture.becomes(&id(&claims), "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3]);
    fixture.stop().await;
}
