//! `ListNotifications`: filters, page sizes and page tokens.

use contracts::notification::v1::{ListNotificationsRequest, Notification};
use messaging::trace::TraceContext;
use notification_service::kinds::Kind;
use notification_service::notification::Letter;
use notification_service::store;
use rstest::rstest;
use testkit::{StoreKind, violated_fields};
use uuid::Uuid;

use crate::fixture::Fixture;

/// Without waking the mailer. Returns the ids, newest first.
async fn write(fixture: &Fixture, user_id: Uuid, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let letter = Letter {
            id: Uuid::now_v7(),
            user_id,
            kind: Kind::OrderPlaced,
            event_id: Uuid::now_v7(),
            email: "ada@example.com".to_owned(),
            display_name: "Ada".to_owned(),
            subject: "a subject".to_owned(),
            text: String::new(),
            html: String::new(),
            code: None,
            original_id: None,
            order_id: None,
            suppressed: false,
            // Not due before the end of the test.
            created_at_ms: i64::MAX / 2,
            correlation_id: "test".to_owned(),
            trace: TraceContext::default(),
        };
        store::insert_letter(&fixture.db, &letter).await.unwrap();
        ids.push(letter.id.to_string());
    }
    ids.reverse();
    ids
}

fn ids(notifications: &[Notification]) -> Vec<String> {
    notifications
        .iter()
        .map(|one| one.notification_id.clone())
        .collect()
}

fn of(user_id: &str, page_size: i32, page_token: &str) -> ListNotificationsRequest {
    ListNotificationsRequest {
        user_id: user_id.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        ..ListNotificationsRequest::default()
    }
}

async fn pages(fixture: &Fixture, user_id: &str, page_size: i32) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let answer = fixture.list(of(user_id, page_size, &token)).await.unwrap();
        pages.push(ids(&answer.notifications));
        token = answer.next_page_token;
        if token.is_empty() {
            return pages;
        }
    }
}

#[rstest]
#[tokio::test]
async fn the_pages_put_together_are_the_whole_list_newest_first(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let (ada, eve) = (Uuid::now_v7(), Uuid::now_v7());
    let older = write(&fixture, ada, 12).await;
    let others = write(&fixture, eve, 5).await;
    let newer = write(&fixture, ada, 3).await;
    let all = [newer.clone(), others, older.clone()].concat();
    let of_ada = [newer, older].concat();

    for page_size in [1, 2, 3, 4, 5, 7, 14, 15, 16, 20, 21, 1000] {
        let listed = pages(&fixture, "", page_size).await;
        assert_eq!(listed.concat(), all, "{page_size}");
        let listed = pages(&fixture, &ada.to_string(), page_size).await;
        assert_eq!(listed.concat(), of_ada, "{page_size}");
        // The last page has no next token, even if it is full.
        let expected = of_ada.len().div_ceil(usize::try_from(page_size).unwrap());
        assert_eq!(listed.len(), expected, "{page_size}");
    }
    assert_eq!(
        pages(&fixture, &Uuid::now_v7().to_string(), 0).await,
        [vec![""; 0]]
    );
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn new_entries_between_two_pages_neither_shift_nor_repeat(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let ada = Uuid::now_v7();
    let before = write(&fixture, ada, 6).await;
    let first = fixture.list(of("", 2, "")).await.unwrap();
    write(&fixture, ada, 5).await;
    // The size may change between pages.
    let second = fixture
        .list(of("", 3, &first.next_page_token))
        .await
        .unwrap();
    write(&fixture, ada, 5).await;
    let third = fixture
        .list(of("", 9, &second.next_page_token))
        .await
        .unwrap();

    let seen = [
        first.notifications,
        second.notifications,
        third.notifications,
    ]
    .concat();
    assert_eq!(ids(&seen), before);
    assert_eq!(third.next_page_token, "");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_page_has_50_by_default_and_1000_at_most(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    // One statement: one per mail takes too long.
    fixture
        .execute(
            "INSERT INTO notification (notification_id, event_id, user_id, kind, state, email, display_name, subject,
                body_text, body_html, correlation_id, attempts, repeats, created_at_ms, due_at_ms)
             WITH RECURSIVE counted (n) AS (SELECT 100001 UNION ALL SELECT n + 1 FROM counted WHERE n < 101002)
             SELECT '01900000-0000-7000-8000-000000' || n, '01900000-0000-7000-8000-000000' || n,
                '01900000-0000-7000-8000-000000000000', 'welcome', 'sent', '', '', '', '', '', '', 0, 0, 0, 0 FROM counted",
        )
        .await;
    for (page_size, expected) in [
        (0, 50),
        (50, 50),
        (999, 999),
        (1000, 1000),
        (i32::MAX, 1000),
    ] {
        let answer = fixture.list(of("", page_size, "")).await.unwrap();
        assert_eq!(answer.notifications.len(), expected, "{page_size}");
        assert_ne!(answer.next_page_token, "");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn every_violation_is_named_at_once() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let refused = fixture.list(of("ada", -1, "made up")).await.unwrap_err();
    assert_eq!(
        violated_fields(&refused),
        ["user_id", "page_size", "page_token"]
    );
    assert_eq!(testkit::reason(&refused), "VALIDATION_FAILED");
    let refused = fixture.list(of("", i32::MIN, "")).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["page_size"]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_token_of_another_filter_or_another_deployment_is_refused(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let (fixture, elsewhere) = (Fixture::new(store).await, Fixture::new(store).await);
    let ada = Uuid::now_v7();
    write(&fixture, ada, 3).await;
    let all = fixture.list(of("", 2, "")).await.unwrap().next_page_token;
    let filter = ada.to_string();
    let of_ada = fixture
        .list(of(&filter, 2, ""))
        .await
        .unwrap()
        .next_page_token;

    for (user_id, token) in [("", &of_ada), (filter.as_str(), &all)] {
        let refused = fixture.list(of(user_id, 2, token)).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["page_token"]);
    }
    let refused = elsewhere.list(of("", 2, &all)).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["page_token"]);
    fixture.stop().await;
    elsewhere.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_token_outlives_a_restart(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let all = write(&fixture, Uuid::now_v7(), 3).await;
    let token = fixture.list(of("", 2, "")).await.unwrap().next_page_token;
    let fixture = fixture.restart().await;
    let rest = fixture.list(of("", 2, &token)).await.unwrap();
    assert_eq!(ids(&rest.notifications), all[2..]);
    fixture.stop().await;
}
