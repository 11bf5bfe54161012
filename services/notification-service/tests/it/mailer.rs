//! The mailer alone, on a database: failures of senders and processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contracts::notification::v1::{NotificationFailed, NotificationSent};
use notification_service::failure::Failure;
use notification_service::mail::Mail;
use notification_service::sender::{Files, MailSender, SendError};
use rstest::rstest;
use testkit::{StoreKind, eventually_is, outbox};

use crate::mails::Folder;
use crate::post::Post;
use crate::senders::{DiesAfterSending, Gate, Scripted};

const AWAY: Result<(), SendError> = Err(SendError::Temporary(Failure::Unreachable));

#[rstest]
#[tokio::test]
async fn a_mail_with_an_unknown_outcome_is_sent_again_and_counted(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let folder = tempfile::tempdir().unwrap();
    let mails = Folder::new(folder.path().to_owned());
    let mut post = Post::new(store).await;
    let id = post.write().await.to_string();
    let files = Files::open(folder.path()).await.unwrap();
    post.start(Arc::new(DiesAfterSending(files))).await;
    let name = format!("{id}.eml");
    eventually_is("the mail is written", vec![name], async || mails.names()).await;
    let before = mails.bytes(&id);
    post.die().await;
    assert_eq!(post.count("state = 'pending' AND attempts = 1").await, 1);

    // As after the end of the lease.
    post.execute("UPDATE notification SET due_at_ms = 0").await;
    post.start(Arc::new(Files::open(folder.path()).await.unwrap()))
        .await;
    post.come_to("sent", 1).await;
    assert_eq!(post.count("attempts = 2 AND repeats = 1").await, 1);
    assert_eq!(mails.names().len(), 1);
    assert_eq!(mails.bytes(&id), before);
    let promised = outbox(&post.db).await;
    assert_eq!(promised.len(), 1);
    let event: NotificationSent = promised[0].decode();
    assert_eq!(event.notification_id, id);
    post.end().await;
}

/// It was leased or postponed while the clock was ahead.
#[rstest]
#[tokio::test]
async fn a_mail_that_is_due_in_a_year_is_sent_soon(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    post.write().await;
    post.execute("UPDATE notification SET due_at_ms = due_at_ms + 31536000000")
        .await;
    let folder = tempfile::tempdir().unwrap();
    post.start(Arc::new(Files::open(folder.path()).await.unwrap()))
        .await;
    post.come_to("sent", 1).await;
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn a_mail_in_flight_stays_hidden_from_other_replicas(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    post.write().await;
    let gate = Gate::closed();
    post.start(gate.clone()).await;
    gate.reached_by(1).await;
    let lease: i64 = post.value("SELECT due_at_ms FROM notification").await;
    assert!(lease > store::now_ms(&post.db).await.unwrap());
    eventually_is("the lease was extended", true, async || {
        post.value::<i64>("SELECT due_at_ms FROM notification")
            .await
            > lease
    })
    .await;
    gate.open();
    post.come_to("sent", 1).await;
    assert_eq!(post.count("attempts = 1 AND repeats = 0").await, 1);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn replicas_share_the_work_and_send_each_mail_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let mut written = Vec::new();
    for _ in 0..60 {
        written.push(post.write().await);
    }
    let sender = Arc::new(Scripted::default());
    for _ in 0..3 {
        post.start(sender.clone()).await;
    }
    post.come_to("sent", 60).await;
    let mut sent = sender.sent.lock().await.clone();
    sent.sort();
    assert_eq!(sent, written);
    assert_eq!(outbox(&post.db).await.len(), 60);
    assert_eq!(post.count("attempts <> 1 OR repeats <> 0").await, 0);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn sixteen_mails_are_sent_at_the_same_time_and_never_more(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    for _ in 0..20 {
        post.write().await;
    }
    let gate = Gate::closed();
    post.start(gate.clone()).await;
    gate.reached_by(16).await;
    assert_eq!(post.count("attempts = 0").await, 4);
    gate.open();
    post.come_to("sent", 20).await;
    assert_eq!(gate.most.load(Ordering::SeqCst), 16);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn on_stop_it_leases_nothing_and_records_what_is_in_flight(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    for _ in 0..17 {
        post.write().await;
    }
    let gate = Gate::closed();
    post.start(gate.clone()).await;
    gate.reached_by(16).await;
    post.ask_to_end();
    gate.open();
    post.end().await;
    assert_eq!(post.count("state = 'sent'").await, 16);
    assert_eq!(post.count("state = 'pending' AND attempts = 0").await, 1);
    assert_eq!(outbox(&post.db).await.len(), 16);
}

#[rstest]
#[tokio::test]
async fn a_transient_failure_is_retried_later_and_blocks_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let sender = Arc::new(Scripted::default());
    sender.outcomes.lock().await.push(AWAY);
    let first = post.write().await;
    post.start_on(post.store.clone(), sender.clone(), Duration::from_secs(30));
    eventually_is("the first attempt has failed", 1, async || {
        post.count("failure = 'the mail server could not be reached'")
            .await
    })
    .await;
    assert_eq!(
        post.count("attempt_began_at_ms IS NULL AND state = 'pending'")
            .await,
        1
    );

    let second = post.write().await;
    post.come_to("sent", 1).await;
    assert_eq!(*sender.sent.lock().await, [second]);
    post.execute("UPDATE notification SET due_at_ms = 0").await;
    post.store.signal("mails").notify_one();
    post.come_to("sent", 2).await;
    assert_eq!(*sender.sent.lock().await, [second, first]);
    assert_eq!(post.count("failure IS NOT NULL OR repeats <> 0").await, 0);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn after_ten_attempts_or_a_day_a_mail_is_given_up(
    #[values("attempts = 9", "created_at_ms = created_at_ms - 86400001")] used_up: &str,
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    let sender = Arc::new(Scripted::default());
    *sender.outcomes.lock().await = vec![AWAY; 2];
    let id = post.write().await;
    post.execute(&format!("UPDATE notification SET {used_up}"))
        .await;
    post.start(sender).await;
    post.come_to("failed", 1).await;
    let promised = outbox(&post.db).await;
    assert_eq!(promised.len(), 1);
    let event: NotificationFailed = promised[0].decode();
    assert_eq!(event.notification_id, id.to_string());
    assert_eq!(event.failure, "the mail server could not be reached");
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn a_mail_that_is_not_yet_old_is_not_given_up(
    #[values("attempts = 8", "created_at_ms = created_at_ms - 86000000")] nearly: &str,
) {
    let mut post = Post::new(StoreKind::Sqlite).await;
    let sender = Arc::new(Scripted::default());
    sender.outcomes.lock().await.push(AWAY);
    post.write().await;
    post.execute(&format!("UPDATE notification SET {nearly}"))
        .await;
    post.start(sender).await;
    eventually_is("it has failed", 1, async || {
        post.count("failure IS NOT NULL").await
    })
    .await;
    assert_eq!(post.count("state = 'pending'").await, 1);
    post.end().await;
}

#[rstest]
#[tokio::test]
async fn a_mail_of_an_unknown_kind_waits_and_blocks_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let mut post = Post::new(store).await;
    post.write().await;
    post.execute("UPDATE notification SET kind = 'order_lost', due_at_ms = 0")
        .await;
    let known = post.write().await;
    let sender = Arc::new(Scripted::default());
    post.start(sender.clone()).await;
    post.come_to("sent", 1).await;
    assert_eq!(*sender.sent.lock().await, [known]);
    assert_eq!(post.count("kind = 'order_lost' AND attempts = 0").await, 1);
    post.end().await;
}

#[tokio::test]
async fn a_sender_that_hangs_is_cut_off_and_tried_again() {
    let mut post = Post::new(StoreKind::Sqlite).await;
    post.write().await;
    let gate = Gate::closed();
    post.start_on(post.store.clone(), gate, Duration::from_millis(50));
    eventually_is("it was cut off", 1, async || {
        post.count("failure = 'the mail server did not answer in time'")
            .await
    })
    .await;
    assert_eq!(post.count("state = 'pending' AND attempts = 1").await, 1);
    post.end().await;
}

#[tokio::test]
async fn a_bug_in_one_mail_leaves_the_others_alone() {
    struct Buggy(AtomicUsize);

    #[async_trait]
    impl MailSender for Buggy {
        async fn send(&self, _: &Mail) -> Result<(), SendError> {
            assert_ne!(self.0.fetch_add(1, Ordering::SeqCst), 0, "a bug");
            Ok(())
        }
    }

    let mut post = Post::new(StoreKind::Sqlite).await;
    for _ in 0..5 {
        post.write().await;
    }
    post.start(Arc::new(Buggy(AtomicUsize::new(0)))).await;
    post.come_to("sent", 4).await;
    assert_eq!(post.count("state = 'pending' AND attempts = 1").await, 1);
    post.end().await;
}
