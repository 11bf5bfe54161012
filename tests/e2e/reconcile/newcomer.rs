//! A new consumer whose users are past the retention of their producer gets their state.

use angarium::reconcile::{Report, reconcile};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{Stack, eventually_is};

use super::{asked, seen_version, start};
use crate::system::Running;

async fn execute(system: &Running, service: &str, statements: &[&str]) {
    let db = system.database(service).await;
    for statement in statements {
        db.execute_unprepared(statement).await.unwrap();
    }
}

/// The name that mails use, and the version of the user.
async fn recipient(system: &Running, user_id: &str) -> Option<(String, i64)> {
    let reading =
        format!("SELECT display_name, user_version FROM recipient WHERE user_id = '{user_id}'");
    let rows = system.query(notification_service::NAME, &reading).await;
    let row = rows.first()?;
    let name = row.try_get("", "display_name").unwrap();
    Some((name, row.try_get("", "user_version").unwrap()))
}

fn states(reports: &[Report]) -> u64 {
    reports.iter().map(|report| report.states).sum()
}

#[rstest]
#[tokio::test]
async fn a_new_consumer_gets_the_state_of_users(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = start(stack).await;
    let user_id = system.register("ada@example.com").await;
    system.rename(&user_id, "Countess Lovelace").await;
    let seen = async || seen_version(&system, &user_id).await;
    eventually_is("the user is known", 2, seen).await;
    let countess = Some(("Countess Lovelace".to_owned(), 2));
    let known = async || recipient(&system, &user_id).await;
    eventually_is("mails know the name", countess.clone(), known).await;
    let mut snapshot = asked(&system);
    snapshot.repair.snapshot = true;
    // What the history has is left to its events.
    assert_eq!(states(&reconcile(&snapshot, |_| ()).await.unwrap()), 0);

    let past = "DELETE FROM angarium_outbox_history WHERE aggregate_type = 'user'";
    execute(&system, user_service::NAME, &[past]).await;
    let new = [
        "DELETE FROM angarium_inbox WHERE aggregate_type = 'user'",
        "DELETE FROM angarium_position WHERE aggregate_type = 'user'",
        "DELETE FROM known_user",
    ];
    execute(&system, order_service::NAME, &new).await;
    let new = [
        "DELETE FROM angarium_inbox WHERE aggregate_type = 'user'",
        "DELETE FROM recipient",
    ];
    execute(&system, notification_service::NAME, &new).await;
    let mut rehearsal = snapshot.clone();
    rehearsal.repair.dry_run = true;
    // The user and the operator, at both consumers.
    assert_eq!(states(&reconcile(&rehearsal, |_| ()).await.unwrap()), 4);
    assert_eq!(known().await, None);
    let reports = reconcile(&snapshot, |_| ()).await.unwrap();
    assert_eq!(states(&reports), 4, "{reports:?}");
    assert!(reports.iter().all(Report::is_complete), "{reports:?}");
    eventually_is("the user is known again", 2, seen).await;
    eventually_is("mails know the name again", countess, known).await;
    let mails = system.mails(&user_id).await.len();

    // Repeated, and beside a change: nothing newer is replaced.
    system.rename(&user_id, "Ada King").await;
    assert_eq!(states(&reconcile(&snapshot, |_| ()).await.unwrap()), 0);
    eventually_is("the change is known", 3, seen).await;
    let king = Some(("Ada King".to_owned(), 3));
    eventually_is("mails know the new name", king, known).await;
    system.order(&user_id).await;
    // No mail about what was before.
    let orders = "SELECT 1 FROM orders";
    assert_eq!(system.query(order_service::NAME, orders).await.len(), 1);
    let later = async || system.mails(&user_id).await.len();
    eventually_is("the order causes one mail", mails + 1, later).await;
    system.stop().await;
}
