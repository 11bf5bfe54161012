//! An event that reaches another queue and not this one is missing here, and it is shown.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use event::Message;
use messaging::transport::Topology;
use messaging::{CheckpointPace, ConsumerConfig, RelayConfig, Subscriptions};
use rstest::rstest;
use testkit::{BrokerKind, Stack, StoreKind, eventually, eventually_is};

use crate::effects::{each_on_its_own, execute, in_order};
use crate::events::{Changed, EXCHANGE, id};
use crate::fixture::{Fixture, consumer_config};

mod by_hand;
pub(crate) mod losing;
mod seen;

use losing::{Loses, Losing};

const GRACE: Duration = Duration::from_millis(300);
const CONFIRM: Duration = Duration::from_secs(2);

fn pace() -> CheckpointPace {
    CheckpointPace {
        busy: Duration::from_millis(20),
        idle: Duration::from_millis(40),
        most: 3,
        confirm: CONFIRM,
    }
}

pub(crate) fn relay() -> RelayConfig {
    RelayConfig {
        checkpoints: Some((vec![EXCHANGE.to_owned()], pace())),
        ..RelayConfig::new("test")
    }
}

pub(crate) fn consumer() -> ConsumerConfig {
    ConsumerConfig {
        missing_after: GRACE,
        ..consumer_config()
    }
}

/// A producer with a transport that loses messages, and its consumer.
pub(crate) async fn losing(
    fixture: &mut Fixture,
    subscriptions: fn() -> Subscriptions,
) -> Arc<Losing> {
    let transport = Losing::new(fixture.transport(&subscriptions()));
    fixture.run_relay_as(transport.clone(), relay());
    fixture.run_consumer_as(subscriptions(), consumer());
    fixture.expects().await;
    transport
}

impl Fixture {
    pub(crate) async fn stream(&self) -> Option<(i64, i64)> {
        let reading = "SELECT number, patterns FROM angarium_checkpoint_stream";
        let rows = self.rows(reading, []).await;
        let row = rows.first()?;
        let patterns: String = row.try_get("", "patterns").unwrap();
        let from = serde_json::from_str::<std::collections::BTreeMap<String, i64>>(&patterns);
        let from = from.unwrap().into_values().max().unwrap_or(0);
        Some((row.try_get("", "number").unwrap(), from))
    }

    pub(crate) async fn expects(&self) {
        eventually("events are expected", async || match self.stream().await {
            Some((number, from)) if number + 1 >= from => Ok(()),
            other => Err(other),
        })
        .await;
    }

    async fn has_compared(&self, transport: &Losing) {
        let last = transport.checkpoints().last().map_or(0, |last| last.number);
        eventually("later checkpoints have come", async || {
            match self.stream().await {
                Some((number, _)) if number > last + 1 => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    pub(crate) async fn missing(&self) -> BTreeSet<String> {
        let reading = "SELECT {text event_id} AS event_id FROM angarium_missing WHERE missing_since IS NOT NULL";
        let rows = self.rows(reading, []).await;
        let id = |row: &sea_orm::QueryResult| row.try_get("", "event_id").unwrap();
        rows.iter().map(id).collect()
    }

    pub(crate) async fn lacks(&self, events: impl IntoIterator<Item = &Message>) {
        let events: BTreeSet<String> = events.into_iter().map(id).collect();
        eventually_is("these are missing", events, async || self.missing().await).await;
    }

    pub(crate) async fn gaps(&self) -> Vec<(i64, i64)> {
        let reading =
            "SELECT first_number, last_number FROM angarium_checkpoint_gap ORDER BY first_number";
        let rows = self.rows(reading, []).await;
        let gap = |row: &sea_orm::QueryResult| {
            let first = row.try_get("", "first_number").unwrap();
            (first, row.try_get("", "last_number").unwrap())
        };
        rows.iter().map(gap).collect()
    }
}

/// Nothing comes after them, so no gap in the versions shows the loss.
#[rstest]
#[tokio::test]
async fn a_lost_tail_is_missing_until_it_arrives(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    let arrives = fixture.commit(&Changed::of("a"), 1).await;
    fixture.becomes(&arrives.to_string(), "done").await;
    transport.loses(Loses::Events);
    for version in 2..=6 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    fixture.all_is_published().await;
    transport.loses(Loses::Nothing);
    let lost = transport.lost();
    assert_eq!(lost.len(), 5);
    fixture.lacks(&lost).await;

    fixture.send(&each_on_its_own(), &lost[..4]).await;
    fixture.lacks(&lost[4..]).await;
    fixture.send(&each_on_its_own(), &lost[4..]).await;
    fixture.lacks([]).await;
    assert_eq!(fixture.versions("a").await.len(), 6);
    assert_eq!(fixture.gaps().await, []);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_lost_event_in_the_middle_is_missing_and_nothing_else(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, in_order).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    transport.loses(Loses::Events);
    fixture.commit(&Changed::of("a"), 2).await;
    fixture.all_is_published().await;
    transport.loses(Loses::Nothing);
    let waits = fixture.commit(&Changed::of("a"), 3).await;
    let lost = transport.lost();
    fixture.becomes(&waits.to_string(), "waiting").await;
    fixture.lacks(&lost).await;
    fixture.send(&in_order(), &lost).await;
    fixture.becomes(&waits.to_string(), "done").await;
    fixture.lacks([]).await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_lost_checkpoint_is_a_gap_until_it_arrives_and_is_compared(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    transport.loses(Loses::Everything);
    let event = fixture.commit(&Changed::of("a"), 1).await.to_string();
    eventually("its checkpoint is lost as well", async || {
        let listing = transport.checkpoints().into_iter();
        let mut listing = listing.filter(|checkpoint| !checkpoint.published.is_empty());
        listing.next().map(|_| ()).ok_or("not yet")
    })
    .await;
    transport.loses(Loses::Nothing);
    let (lost, checkpoints): (Vec<_>, Vec<_>) = transport
        .lost()
        .into_iter()
        .partition(|message| !losing::is_checkpoint(message));
    assert_eq!(lost.iter().map(id).collect::<Vec<_>>(), [event]);
    let numbers: Vec<i64> = checkpoints.iter().filter_map(event::sequence).collect();
    let gap = (*numbers.first().unwrap(), *numbers.last().unwrap());
    eventually_is("there is a gap", vec![gap], async || fixture.gaps().await).await;
    assert_eq!(fixture.missing().await, BTreeSet::new());

    let again = checkpoints.iter().rev().chain(checkpoints.first());
    fixture.send(&each_on_its_own(), again).await;
    eventually_is("the gap is filled", vec![], async || fixture.gaps().await).await;
    fixture.lacks(&lost).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_new_consumer_misses_nothing_from_before_its_start(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let producer = fixture.broker.transport(Topology::publishing([EXCHANGE]));
    let transport = Losing::new(producer);
    transport.loses(Loses::Events);
    fixture.run_relay_as(transport.clone(), relay());
    let before = fixture.commit(&Changed::of("a"), 1).await;
    eventually("a checkpoint lists it", async || {
        let checkpoints = transport.checkpoints();
        let mut lists = checkpoints.iter().flat_map(|listed| &listed.published);
        let is_listed = lists.any(|list| list.ids().unwrap().contains(&before));
        is_listed.then_some(()).ok_or(checkpoints)
    })
    .await;
    for version in 2..=20 {
        fixture.commit(&Changed::of("a"), version).await;
    }
    fixture.run_consumer_as(each_on_its_own(), consumer());
    fixture.all_is_published().await;
    fixture.has_compared(&transport).await;
    // That may be its first checkpoint.
    fixture.expects().await;
    let after = fixture.commit(&Changed::of("a"), 21).await.to_string();
    eventually("what is lost later is missing", async || {
        let missing = fixture.missing().await;
        missing.contains(&after).then_some(()).ok_or(missing)
    })
    .await;
    // It may expect some events after its first checkpoint.
    let missing = fixture.missing().await;
    assert!(!missing.contains(&before.to_string()), "{missing:?}");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn restarts_lose_no_checkpoint(#[values(Stack::Servers, Stack::Embedded)] stack: Stack) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    fixture.stop().await;

    transport.loses(Loses::Events);
    fixture.run_relay_as(transport.clone(), relay());
    let first = fixture.commit(&Changed::of("a"), 1).await.to_string();
    fixture.all_is_published().await;
    fixture.abort().await;
    // If the relay was publishing a checkpoint, the next one waits for the end of its claim, 30 s.
    let ending = "UPDATE angarium_checkpoint SET claimed_until = {time} WHERE confirmed_at IS NULL";
    execute(fixture.store.connection(), ending, [])
        .await
        .unwrap();
    transport.loses(Loses::Nothing);
    fixture.run_relay_as(transport.clone(), relay());
    let second = fixture.commit(&Changed::of("a"), 2).await.to_string();
    fixture.run_consumer_as(each_on_its_own(), consumer());
    fixture.becomes(&second, "done").await;
    let lost = transport.lost();
    assert_eq!(lost.iter().map(id).collect::<Vec<_>>(), [first]);
    fixture.lacks(&lost).await;
    assert_eq!(fixture.gaps().await, []);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_checkpoint_without_a_confirm_is_published_again(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    transport.loses(Loses::Confirms);
    let before = transport.unanswered();
    eventually("one has no confirm", async || {
        let now = transport.unanswered();
        (now > before).then_some(()).ok_or(now)
    })
    .await;
    transport.loses(Loses::Nothing);
    let number = fixture.stream().await.unwrap().0;
    eventually("later ones arrive", async || {
        let now = fixture.stream().await.unwrap().0;
        (now > number + 1).then_some(()).ok_or(now)
    })
    .await;
    assert_eq!(fixture.gaps().await, []);
    fixture.stop().await;
}

/// A queue that was never bound for checkpoints does not look complete, because events announce them.
#[rstest]
#[tokio::test]
async fn checkpoints_that_never_come_are_expected(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = Losing::new(fixture.transport(&each_on_its_own()));
    transport.loses(Loses::Checkpoints);
    fixture.run_relay_as(transport.clone(), relay());
    fixture.run_consumer_as(each_on_its_own(), consumer());
    fixture.commit(&Changed::of("a"), 1).await;
    let seen = async || fixture.stream().await;
    eventually_is("they are expected", Some((0, 0)), seen).await;
    transport.loses(Loses::Nothing);
    fixture.expects().await;
    assert_eq!(fixture.gaps().await, []);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn replicas_share_one_line_of_numbers(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    fixture.run_relay_as(transport.clone(), relay());
    fixture.run_consumer_as(each_on_its_own(), consumer());
    let mut events = BTreeSet::new();
    for account in 0..60 {
        events.insert(fixture.commit(&Changed::of(&account.to_string()), 1).await);
    }
    fixture.all_is_published().await;
    eventually("all are listed", async || {
        let checkpoints = transport.checkpoints();
        let listed = checkpoints.iter().flat_map(|one| &one.published);
        let listed: Vec<_> = listed.flat_map(|of_type| of_type.ids().unwrap()).collect();
        (listed.iter().copied().collect::<BTreeSet<_>>() == events)
            .then_some(())
            .ok_or(listed.len())
    })
    .await;
    fixture.has_compared(&transport).await;
    let numbers: BTreeSet<i64> = transport
        .checkpoints()
        .iter()
        .map(|one| one.number)
        .collect();
    let last = *numbers.last().unwrap();
    assert_eq!(numbers, (1..=last).collect());
    assert!(transport.checkpoints().iter().all(|one| {
        let listed = one.published.iter().map(|of_type| of_type.event_ids.len());
        listed.sum::<usize>() <= usize::from(pace().most)
    }));
    tokio::time::sleep(2 * GRACE).await;
    assert_eq!(fixture.missing().await, BTreeSet::new());
    eventually_is("no gap is left", vec![], async || fixture.gaps().await).await;
    fixture.stop().await;
}
