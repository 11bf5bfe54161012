//! What has not arrived is handed over from what its producer has stored, and has its effect once.

use std::collections::BTreeSet;
use std::time::Duration;

use messaging::repair::{By, Handed, History, Repair, Selection, Stored};
use messaging::{ConsumerConfig, Subscriptions, outbox};
use rstest::rstest;
use sea_orm::QueryResult;
use testkit::{Stack, StoreKind, eventually, eventually_is};

use crate::effects::{each_on_its_own, in_order};
use crate::events::{Changed, id};
use crate::fixture::Fixture;
use crate::missing::losing::{Loses, Losing};
use crate::missing::{consumer, losing, relay};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn by() -> By {
    By {
        actor: "ada".to_owned(),
        reason: "the queue was deleted".to_owned(),
    }
}

fn history(fixture: &Fixture) -> History {
    History::new(fixture.store.clone(), "test", DAY)
}

fn repair(fixture: &Fixture, subscriptions: fn() -> Subscriptions) -> Repair {
    Repair::new(fixture.store.clone(), &subscriptions(), 14 * DAY)
}

fn account(id: &str, from: i64) -> Selection {
    Selection::Aggregate {
        aggregate_type: "account".to_owned(),
        aggregate_id: id.to_owned(),
        from,
    }
}

async fn stored(fixture: &Fixture, selection: &Selection) -> Vec<Stored> {
    let (history, mut events, mut after) = (history(fixture), Vec::new(), 0);
    loop {
        let page = history.page(selection, after, 2).await.unwrap();
        events.extend(page.events);
        match page.next {
            Some(next) => after = next,
            None => return events,
        }
    }
}

async fn steps(fixture: &Fixture) -> Vec<(String, i64, String)> {
    let steps = repair(fixture, in_order).record(0, 100).await.unwrap();
    let steps = steps.into_iter();
    steps
        .map(|step| (step.action, step.events, step.actor))
        .collect()
}

async fn late(fixture: &Fixture) -> Vec<i64> {
    let reading =
        "SELECT aggregate_version FROM angarium_inbox WHERE late ORDER BY aggregate_version";
    let rows = fixture.rows(reading, []).await;
    let version = |row: &QueryResult| row.try_get("", "aggregate_version").unwrap();
    rows.iter().map(version).collect()
}

async fn lose(fixture: &Fixture, transport: &Losing, versions: std::ops::RangeInclusive<i64>) {
    transport.loses(Loses::Events);
    for version in versions {
        fixture.commit(&Changed::of("a"), version).await;
    }
    fixture.all_is_published().await;
    transport.loses(Loses::Nothing);
}

#[rstest]
#[tokio::test]
async fn what_is_handed_over_goes_in_its_turn_and_once(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, in_order).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    lose(&fixture, &transport, 2..=4).await;
    let waits = fixture.commit(&Changed::of("a"), 5).await.to_string();
    fixture.becomes(&waits, "waiting").await;
    fixture.lacks(&transport.lost()).await;

    let repair = repair(&fixture, in_order);
    let listed = repair.missing(None, 2).await.unwrap();
    assert_eq!(listed.len(), 2);
    let gaps = repair.version_gaps(None, 10).await.unwrap();
    let gap = (gaps[0].position, gaps[0].waits, gaps[0].events);
    assert_eq!((gaps.len(), gap), (1, (1, 5, 1)));

    let events = stored(&fixture, &account("a", 1)).await;
    assert_eq!(events.len(), 5);
    let expected = Handed {
        new: 3,
        known: 2,
        ..Handed::default()
    };
    let tried = repair.hand_over(&events, &by(), true).await.unwrap();
    assert_eq!(tried, expected);
    assert_eq!(steps(&fixture).await, []);
    let handed = repair.hand_over(&events, &by(), false).await.unwrap();
    assert_eq!(handed, expected);
    fixture.becomes(&waits, "done").await;
    fixture.lacks([]).await;
    let again = repair.hand_over(&events, &by(), false).await.unwrap();
    assert_eq!((again.new, again.known), (0, 5));
    fixture.send(&in_order(), &transport.lost()).await;
    let next = fixture.commit(&Changed::of("a"), 6).await.to_string();
    fixture.becomes(&next, "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(late(&fixture).await, [0_i64; 0]);
    let step = ("handed over".to_owned(), 3, "ada".to_owned());
    assert_eq!(steps(&fixture).await, [step]);
    assert_eq!(repair.version_gaps(None, 10).await.unwrap(), []);
    fixture.stop().await;
}

/// The order began behind it, so no later event waits for it.
#[rstest]
#[tokio::test]
async fn what_comes_below_the_position_is_handled_late(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = Losing::new(fixture.transport(&in_order()));
    fixture.run_relay_as(transport.clone(), relay());
    let config = ConsumerConfig {
        baseline_wait: Duration::ZERO,
        ..consumer()
    };
    fixture.run_consumer_as(in_order(), config);
    fixture.expects().await;
    lose(&fixture, &transport, 1..=2).await;
    let begins = fixture.commit(&Changed::of("a"), 3).await.to_string();
    fixture.becomes(&begins, "done").await;
    fixture.lacks(&transport.lost()).await;

    let events = stored(&fixture, &account("a", 1)).await;
    let handing = repair(&fixture, in_order);
    let handed = handing.hand_over(&events, &by(), false).await.unwrap();
    assert_eq!(handed.new, 2);
    for event in transport.lost() {
        fixture.becomes(&id(&event), "done").await;
    }
    assert_eq!(late(&fixture).await, [1, 2]);
    let next = fixture.commit(&Changed::of("a"), 4).await.to_string();
    fixture.becomes(&next, "done").await;
    let versions = fixture.versions("a").await;
    assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), 4);
    assert_eq!((versions[0], versions[3]), (3, 4));
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn lost_checkpoints_are_followed_and_their_events_found(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    transport.loses(Loses::Everything);
    for account in ["a", "b", "c", "d", "e"] {
        fixture.commit(&Changed::of(account), 1).await;
    }
    eventually("they are listed", async || {
        let checkpoints = transport.checkpoints();
        let listed = checkpoints.iter().flat_map(|one| &one.published);
        let listed: usize = listed.map(|of_type| of_type.event_ids.len()).sum();
        (listed == 5).then_some(()).ok_or(listed)
    })
    .await;
    transport.loses(Loses::Nothing);
    let lost = transport.lost().into_iter();
    let lost: Vec<_> = lost
        .filter(|message| !losing::is_checkpoint(message))
        .collect();
    let repair = repair(&fixture, each_on_its_own);
    let gap = eventually("there is a gap", async || {
        let gaps = repair.checkpoint_gaps(10).await.unwrap();
        gaps.into_iter().next().ok_or("none")
    })
    .await;

    let (history, exchange) = (history(&fixture), gap.exchange.as_str());
    let checkpoints = history.checkpoints(exchange, gap.first, gap.last).await;
    for checkpoint in &checkpoints.unwrap() {
        repair.follow(&gap.source, checkpoint).await.unwrap();
    }
    assert_eq!(fixture.gaps().await, []);
    let missing = repair.missing(None, 100).await.unwrap();
    assert_eq!(missing.len(), 5);
    for number in missing
        .iter()
        .map(|event| event.checkpoint)
        .collect::<BTreeSet<_>>()
    {
        let events = stored(&fixture, &Selection::Checkpoint(number)).await;
        repair.hand_over(&events, &by(), false).await.unwrap();
    }
    for event in &lost {
        fixture.becomes(&id(event), "done").await;
    }
    fixture.lacks([]).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn repair_under_load_leaves_each_effect_once(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    const ACCOUNTS: i64 = 6;
    const VERSIONS: i64 = 12;
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, in_order).await;
    fixture.run_consumer_as(in_order(), consumer());
    let repair = repair(&fixture, in_order);
    for version in 1..=VERSIONS {
        transport.loses(if version % 3 == 0 {
            Loses::Events
        } else {
            Loses::Nothing
        });
        for account in 0..ACCOUNTS {
            fixture
                .commit(&Changed::of(&account.to_string()), version)
                .await;
        }
        fixture.all_is_published().await;
        if version % 4 == 0 {
            let events = stored(&fixture, &Selection::Since(0)).await;
            repair.hand_over(&events, &by(), false).await.unwrap();
        }
    }
    transport.loses(Loses::Nothing);
    assert!(!transport.lost().is_empty());
    let events = stored(&fixture, &Selection::Since(0)).await;
    repair.hand_over(&events, &by(), false).await.unwrap();
    for account in 0..ACCOUNTS {
        let seen = async || fixture.versions(&account.to_string()).await;
        let all = (1..=VERSIONS).collect::<Vec<_>>();
        eventually_is("each version has its effect once", all, seen).await;
    }
    fixture.lacks([]).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_repair_goes_on_after_a_restart(#[values(Stack::Servers, Stack::Embedded)] stack: Stack) {
    let mut fixture = Fixture::new(stack.store(), stack.broker()).await;
    let transport = losing(&mut fixture, in_order).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    lose(&fixture, &transport, 2..=7).await;
    let waits = fixture.commit(&Changed::of("a"), 8).await.to_string();
    fixture.becomes(&waits, "waiting").await;
    let handing = repair(&fixture, in_order);
    let events = stored(&fixture, &account("a", 1)).await;
    let handed = handing.hand_over(&events[..4], &by(), false).await.unwrap();
    assert_eq!(handed.new, 3);
    fixture.abort().await;

    fixture.run_relay_as(transport.clone(), relay());
    fixture.run_consumer_as(in_order(), consumer());
    let handed = handing.hand_over(&events, &by(), false).await.unwrap();
    assert_eq!(handed.new, 3);
    fixture.becomes(&waits, "done").await;
    assert_eq!(fixture.versions("a").await, [1, 2, 3, 4, 5, 6, 7, 8]);
    fixture.lacks([]).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_erased_event_is_passed_over_in_its_turn(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, testkit::BrokerKind::Embedded).await;
    let transport = losing(&mut fixture, in_order).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    transport.loses(Loses::Events);
    let personal = Changed {
        note: "person".to_owned(),
        ..Changed::of("a")
    };
    let erased = fixture.commit(&personal, 2).await.to_string();
    fixture.all_is_published().await;
    transport.loses(Loses::Nothing);
    let waits = fixture.commit(&Changed::of("a"), 3).await.to_string();
    fixture.becomes(&waits, "waiting").await;
    let transaction = fixture.store.begin().await.unwrap();
    outbox::erase(&transaction, "person").await.unwrap();
    transaction.commit().await.unwrap();

    let events = stored(&fixture, &account("a", 2)).await;
    assert!(events[0].erased && events[0].message.body.is_empty());
    let handing = repair(&fixture, in_order);
    let handed = handing.hand_over(&events, &by(), false).await.unwrap();
    assert_eq!((handed.new, handed.erased, handed.known), (1, 1, 1));
    fixture.becomes(&waits, "done").await;
    fixture.becomes(&erased, "discarded").await;
    assert_eq!(fixture.versions("a").await, [1, 3]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_never_comes_is_skipped_for_the_record(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, testkit::BrokerKind::Embedded).await;
    let transport = losing(&mut fixture, in_order).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    lose(&fixture, &transport, 2..=3).await;
    let waits = fixture.commit(&Changed::of("a"), 4).await.to_string();
    fixture.becomes(&waits, "waiting").await;
    fixture.lacks(&transport.lost()).await;

    let repair = repair(&fixture, in_order);
    assert!(repair.skip_versions("account", "a", &by()).await.unwrap());
    fixture.becomes(&waits, "done").await;
    assert_eq!(fixture.versions("a").await, [1, 4]);
    assert!(!repair.skip_versions("account", "a", &by()).await.unwrap());
    assert!(!repair.skip_versions("account", "z", &by()).await.unwrap());
    for event in transport.lost() {
        let event_id = event::event_id(&event);
        assert!(repair.skip_event(event_id, &by()).await.unwrap());
        assert!(!repair.skip_event(event_id, &by()).await.unwrap());
    }
    fixture.lacks([]).await;

    transport.loses(Loses::Checkpoints);
    let number = fixture.stream().await.unwrap().0;
    eventually("some are lost", async || {
        let last = transport.checkpoints().last().map_or(0, |one| one.number);
        (last > number + 3).then_some(()).ok_or(last)
    })
    .await;
    transport.loses(Loses::Nothing);
    let gap = eventually("there is a gap", async || {
        fixture.gaps().await.into_iter().next().ok_or("none")
    })
    .await;
    let by_ada = by();
    let skipping = repair.skip_checkpoints("test", "account_events", gap.0, &by_ada);
    assert!(skipping.await.unwrap());
    assert_eq!(fixture.gaps().await, []);
    assert!(!repair.accept_divergence("test", &by()).await.unwrap());
    let skipped = |events| ("skipped".to_owned(), events, "ada".to_owned());
    let expected = [skipped(2), skipped(1), skipped(1), skipped(0)];
    assert_eq!(steps(&fixture).await, expected);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn events_are_found_by_their_time_and_others_are_foreign(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut fixture = Fixture::new(store, testkit::BrokerKind::Embedded).await;
    let transport = losing(&mut fixture, each_on_its_own).await;
    fixture.commit(&Changed::of("a"), 1).await;
    fixture.all_is_published().await;
    let lists = async |most: usize| {
        let checkpoints = transport.checkpoints();
        let listed = checkpoints.iter().flat_map(|one| &one.published);
        listed.map(|of_type| of_type.event_ids.len()).sum::<usize>() >= most
    };
    eventually_is("it is listed", true, async || lists(1).await).await;
    let published = "SELECT {ms max(published_at)} AS at FROM angarium_outbox_history";
    let rows = fixture.rows(published, []).await;
    let from_ms: i64 = rows[0].try_get("", "at").unwrap();
    transport.loses(Loses::Events);
    fixture.commit(&Changed::of("b"), 1).await;
    let echoed = crate::events::Echoed {
        echo: "e".to_owned(),
    };
    fixture.commit(&echoed, 1).await;
    fixture.all_is_published().await;
    assert_eq!(stored(&fixture, &Selection::Since(0)).await.len(), 3);
    let since = stored(&fixture, &Selection::Since(from_ms + 1)).await;
    assert_eq!(since.len(), 2);
    assert_eq!(since[0].message.body, transport.lost()[0].body);
    let repair = repair(&fixture, each_on_its_own);
    let handed = repair.hand_over(&since, &by(), false).await.unwrap();
    assert_eq!((handed.new, handed.foreign), (1, 1));
    fixture.stop().await;
}
