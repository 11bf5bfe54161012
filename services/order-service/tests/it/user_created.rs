//! The view of users, and repeated, early or invalid events.

use rstest::rstest;
use testkit::StoreKind;
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{created, new_id, tea_for};

#[rstest]
#[tokio::test]
async fn orders_are_taken_for_a_user_from_the_event_on(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    fixture.place(tea_for(&user_id)).await.unwrap_err();
    let registered = created(&user_id, 1);
    fixture.send(&registered).await;
    fixture.becomes(&registered, "done").await;
    fixture.place(tea_for(&user_id)).await.unwrap();
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_repeated_user_event_is_handled_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let registered = created(&new_id(), 1);
    fixture.send(&registered).await;
    fixture.becomes(&registered, "done").await;

    for _ in 0..3 {
        fixture.send(&registered).await;
    }
    fixture.settled().await;
    assert_eq!(fixture.count_users().await, 1);
    assert_eq!(
        fixture.count("SELECT count(*) FROM angarium_inbox").await,
        1
    );
    let seen = fixture.inbox(&registered).await;
    assert_eq!(seen, Some(("done".to_owned(), None)));
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_overtakes_waits_for_the_one_before_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let (first, second) = (created(&user_id, 1), created(&user_id, 2));
    fixture.send(&second).await;
    fixture.becomes(&second, "waiting").await;
    assert_eq!(fixture.count_users().await, 0);
    fixture.known_user().await;

    fixture.send(&first).await;
    fixture.becomes(&first, "done").await;
    fixture.becomes(&second, "done").await;
    assert_eq!(fixture.count_users().await, 2);
    fixture.stop().await;
}

/// A later release of user-service may publish more events.
#[rstest]
#[tokio::test]
async fn a_users_event_of_an_unknown_type_leaves_no_gap(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let [first, mut renamed, third] = [1, 2, 3].map(|version| created(&user_id, version));
    renamed.routing_key = "user.renamed".to_owned();
    renamed.event_type = Some("angarium.user.v1.UserRenamed".to_owned());
    for message in [&first, &renamed, &third] {
        fixture.send(message).await;
    }
    fixture.becomes(&first, "done").await;
    fixture.becomes(&renamed, "skipped").await;
    fixture.becomes(&third, "done").await;
    assert_eq!(fixture.count_users().await, 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_with_an_invalid_user_is_dead_and_the_queue_goes_on(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let invalid = created("ada", 1);
    fixture.send(&invalid).await;
    fixture.becomes(&invalid, "dead").await;
    let (_, cause) = fixture.inbox(&invalid).await.unwrap();
    let cause = cause.unwrap();
    assert!(cause.starts_with("user_id is not a UUID"), "{cause}");

    let user_id = fixture.known_user().await;
    fixture.place(tea_for(&user_id)).await.unwrap();
    assert_eq!(fixture.count_users().await, 1);
    fixture.stop().await;
}

/// Calls use one form of the id, independent of the event.
#[rstest]
#[tokio::test]
async fn a_users_id_is_known_in_the_form_that_calls_use(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = Uuid::now_v7();
    let shouted = user_id.to_string().to_uppercase();
    fixture.send(&created(&shouted, 1)).await;
    fixture.knows(&user_id.to_string()).await;
    fixture.place(tea_for(&user_id.to_string())).await.unwrap();
    fixture.stop().await;
}
