//! The view of users, and repeated, early or invalid events.

use rstest::rstest;
use testkit::StoreKind;
use uuid::Uuid;

use crate::samples::{created, new_id, tea_for};
use crate::world::World;

#[rstest]
#[tokio::test]
async fn orders_are_taken_for_a_user_from_the_event_on(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = new_id();
    world.place(tea_for(&user_id)).await.unwrap_err();
    let registered = created(&user_id, 1);
    world.send(&registered).await;
    world.becomes(&registered, "done").await;
    world.place(tea_for(&user_id)).await.unwrap();
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_repeated_user_event_is_handled_once(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let registered = created(&new_id(), 1);
    world.send(&registered).await;
    world.becomes(&registered, "done").await;

    for _ in 0..3 {
        world.send(&registered).await;
    }
    world.settled().await;
    assert_eq!(world.count_users().await, 1);
    assert_eq!(world.count("SELECT count(*) FROM angarium_inbox").await, 1);
    let seen = world.inbox(&registered).await;
    assert_eq!(seen, Some(("done".to_owned(), None)));
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_that_overtakes_waits_for_the_one_before_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = new_id();
    let (first, second) = (created(&user_id, 1), created(&user_id, 2));
    world.send(&second).await;
    world.becomes(&second, "waiting").await;
    assert_eq!(world.count_users().await, 0);
    world.known_user().await;

    world.send(&first).await;
    world.becomes(&first, "done").await;
    world.becomes(&second, "done").await;
    assert_eq!(world.count_users().await, 2);
    world.stop().await;
}

/// A later release of user-service may publish more events.
#[rstest]
#[tokio::test]
async fn a_users_event_of_an_unknown_type_leaves_no_gap(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = new_id();
    let [first, mut renamed, third] = [1, 2, 3].map(|version| created(&user_id, version));
    renamed.routing_key = "user.renamed".to_owned();
    renamed.event_type = Some("angarium.user.v1.UserRenamed".to_owned());
    for message in [&first, &renamed, &third] {
        world.send(message).await;
    }
    world.becomes(&first, "done").await;
    world.becomes(&renamed, "skipped").await;
    world.becomes(&third, "done").await;
    assert_eq!(world.count_users().await, 1);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_event_with_an_invalid_user_is_dead_and_the_queue_goes_on(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let invalid = created("ada", 1);
    world.send(&invalid).await;
    world.becomes(&invalid, "dead").await;
    let (_, cause) = world.inbox(&invalid).await.unwrap();
    let cause = cause.unwrap();
    assert!(cause.starts_with("user_id is not a UUID"), "{cause}");

    let user_id = world.known_user().await;
    world.place(tea_for(&user_id)).await.unwrap();
    assert_eq!(world.count_users().await, 1);
    world.stop().await;
}

/// Calls use one form of the id, independent of the event.
#[rstest]
#[tokio::test]
async fn a_users_id_is_known_in_the_form_that_calls_use(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = Uuid::now_v7();
    let shouted = user_id.to_string().to_uppercase();
    world.send(&created(&shouted, 1)).await;
    world.knows(&user_id.to_string()).await;
    world.place(tea_for(&user_id.to_string())).await.unwrap();
    world.stop().await;
}
