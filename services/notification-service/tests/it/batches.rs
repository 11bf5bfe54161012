//! Mails that are leased, sent and recorded together are independent.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use contracts::notification::v1::{NotificationFailed, NotificationSent};
use messaging::{Cause, Store, outbox::enqueue};
use notification_service::failure::Failure;
use notification_service::sender::SendError;
use notification_service::store::{pending, recipients};
use rstest::rstest;
use testkit::{Limits, RoundTrips, StoreKind, eventually_is, outbox};
use tokio::time::timeout;
use uuid::Uuid;

use crate::post::Post;
use crate::senders::{Gate, HangsAt, Scripted, Silent};

/// Including the query for more and the driver's pings.
#[tokio::test]
async fn a_batch_of_mails_stays_within_its_round_trips() {
    let mut post = Post::new(StoreKind::Postgres).await;
    let trips = RoundTrips::before(post.database.url()).await;
    let store = Store::new(trips.connect().await);
    let sender = Arc::new(Scripted::default());
    post.start_on(store.clone(), sender, Duration::from_secs(30));
    let counted = trips.least_of(3, async || {
        for _ in 0..8 {
            post.write().await;
        }
        store.signal("mails").notify_one();
        post.come_to("pending", 0).await;
    });
    let limits = Limits {
        round_trips: 8,
        pings_after: 3,
        statements: 4,
    };
    counted.await.assert_within("a batch of 8 mails", limits);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn a_batch_has_an_event_for_each_mail_however_it_ends(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let sender = Arc::new(Scripted::default());
    *sender.outcomes.lock().await = vec![
        Err(SendError::Permanent(Failure::Refused(550))),
        Err(SendError::Temporary(Failure::Unreachable)),
    ];
    let mut written = HashSet::new();
    for _ in 0..8 {
        written.insert(post.write().await.to_string());
    }
    post.start(sender.clone()).await;
    post.come_to("sent", 6).await;
    post.come_to("failed", 1).await;
    eventually_is("one is tried again", 1, async || {
        post.count("state = 'pending' AND attempt_began_at_ms IS NULL AND failure LIKE '%reached'")
            .await
    })
    .await;
    let promised = outbox(&post.db).await;
    assert_eq!(promised.len(), 7);
    let mut named = HashSet::new();
    let mut failures = Vec::new();
    for event in &promised {
        if event.event_type.ends_with("NotificationSent") {
            named.insert(event.decode::<NotificationSent>().notification_id);
        } else {
            let failed: NotificationFailed = event.decode();
            named.insert(failed.notification_id);
            failures.push(failed.failure);
        }
    }
    assert_eq!(failures, ["the mail server refused the mail (550)"]);
    assert_eq!(named.len(), 7);
    assert!(named.is_subset(&written));
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn a_hand_over_that_hangs_delays_only_itself(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let hanging = post.write().await;
    for _ in 0..30 {
        post.write().await;
    }
    post.start(Arc::new(HangsAt(hanging))).await;
    post.come_to("sent", 30).await;
    let id = format!("notification_id = '{hanging}'");
    let in_flight = "attempts = 1 AND repeats = 0 AND attempt_began_at_ms IS NOT NULL";
    assert_eq!(post.count(&format!("{id} AND {in_flight}")).await, 1);
    post.die().await;
}

/// Its event cannot be written, as if the version existed already.
#[rstest]
#[tokio::test]
async fn a_mail_that_cannot_be_recorded_holds_up_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let stuck = post.write().await;
    let event = NotificationSent {
        notification_id: stuck.to_string(),
        user_id: Uuid::now_v7().to_string(),
        ..NotificationSent::default()
    };
    let transaction = post.store.begin().await.unwrap();
    enqueue(&transaction, &event, 1, &Cause::call("test")).unwrap();
    transaction.commit().await.unwrap();
    for _ in 0..7 {
        post.write().await;
    }
    let gate = Gate::closed();
    post.start(gate.clone()).await;
    gate.reached_by(8).await;
    gate.open();
    post.come_to("sent", 7).await;
    post.write().await;
    post.start(gate.clone()).await;
    post.come_to("sent", 8).await;
    assert_eq!(post.count("state = 'pending' AND attempts = 1").await, 1);
    assert_eq!(gate.sent.lock().await.len(), 9);
    post.die().await;
}

#[rstest]
#[tokio::test]
async fn an_attempt_that_has_lost_its_lease_changes_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let lost = post.write().await;
    for _ in 0..7 {
        post.write().await;
    }
    let gate = Gate::closed();
    gate.fails_with(SendError::Temporary(Failure::Unreachable));
    post.start(gate.clone()).await;
    gate.reached_by(8).await;
    // As another replica does.
    post.execute(&format!(
        "UPDATE notification SET attempts = 2 WHERE notification_id = '{lost}'"
    ))
    .await;
    gate.open();
    eventually_is("the others are put off", 7, async || {
        post.count("failure IS NOT NULL AND attempt_began_at_ms IS NULL")
            .await
    })
    .await;
    post.end().await;
    let untouched = "failure IS NULL AND attempt_began_at_ms IS NOT NULL AND attempts = 2";
    assert_eq!(post.count(untouched).await, 1);
}

#[rstest]
#[tokio::test]
async fn a_mail_to_an_erased_user_is_left_out_of_the_batch(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let erased = post.write().await;
    for _ in 0..3 {
        post.write().await;
    }
    let user = format!("SELECT user_id FROM notification WHERE notification_id = '{erased}'");
    let user_id: String = post.value(&user).await;
    let user_id = user_id.parse().unwrap();
    recipients::erase(&post.db, user_id, &Cause::call("test"))
        .await
        .unwrap();
    let sender = Arc::new(Scripted::default());
    post.start(sender.clone()).await;
    post.come_to("sent", 3).await;
    post.end().await;
    assert!(!sender.sent.lock().await.contains(&erased));
    assert_eq!(post.count("state = 'pending' AND attempts = 0").await, 1);
}

#[rstest]
#[tokio::test]
async fn a_crash_repeats_only_what_was_in_flight(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    for _ in 0..20 {
        post.write().await;
    }
    let silent = Arc::new(Silent::default());
    post.start(silent.clone()).await;
    eventually_is("sixteen are handed over", 16, async || {
        silent.sent.lock().await.len()
    })
    .await;
    post.die().await;
    // As after the end of the leases.
    post.execute("UPDATE notification SET due_at_ms = 0").await;
    let sender = Arc::new(Scripted::default());
    post.start(sender.clone()).await;
    post.come_to("sent", 20).await;
    assert_eq!(sender.sent.lock().await.len(), 20);
    assert_eq!(post.count("attempts = 2 AND repeats = 1").await, 16);
    assert_eq!(post.count("attempts = 1 AND repeats = 0").await, 4);
    assert_eq!(outbox(&post.db).await.len(), 20);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn replicas_that_lease_at_once_never_get_the_same_mail(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let post = Post::new(store).await;
    for _ in 0..40 {
        post.write().await;
    }
    let mut replicas = Vec::new();
    for _ in 0..5 {
        replicas.push(Store::new(post.database.connect().await));
    }
    let none = HashSet::new();
    let leases = replicas
        .iter()
        .map(|replica| pending::take_up(replica, Duration::from_secs(10), 8, &none));
    let leased = futures::future::join_all(leases).await;
    let ids: Vec<Uuid> = leased
        .into_iter()
        .flat_map(Result::unwrap)
        .map(|attempt| attempt.letter.id)
        .collect();
    let different: HashSet<&Uuid> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "a mail was leased twice");
    let leased = i64::try_from(ids.len()).unwrap();
    assert_eq!(post.count("attempts = 1").await, leased);
}

/// On PostgreSQL, two transactions may write at the same time.
#[tokio::test]
async fn mails_that_another_replica_is_leasing_are_passed_over() {
    let post = Post::new(StoreKind::Postgres).await;
    for _ in 0..24 {
        post.write().await;
    }
    let leasing = ::store::Transaction::begin(&post.db).await.unwrap();
    let locked = "SELECT notification_id FROM notification ORDER BY due_at_ms LIMIT 8 FOR UPDATE";
    let locked = ::store::sql::query_all(&leasing, locked, []).await.unwrap();
    let none = HashSet::new();
    let take_up = || pending::take_up(&post.store, Duration::from_secs(10), 8, &none);
    let leased = futures::future::join(take_up(), take_up());
    let (one, other) = timeout(Duration::from_secs(10), leased).await.unwrap();
    leasing.rollback().await.unwrap();
    let attempts = one.unwrap().into_iter().chain(other.unwrap());
    let ids: Vec<String> = attempts
        .map(|attempt| attempt.letter.id.to_string())
        .collect();
    let locked = locked.iter().map(|row| row.try_get_by_index(0).unwrap());
    let all: HashSet<String> = locked.chain(ids.iter().cloned()).collect();
    assert_eq!((ids.len(), all.len()), (16, 24), "a mail was leased twice");
}
