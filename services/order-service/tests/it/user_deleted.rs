//! All open orders are cancelled, texts in the others are erased, and no new order is accepted.

use contracts::order::v1::{OrderState, UserViewState};
use futures::future::join_all;
use order_service::store::users;
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{StoreKind, eventually_is, reason};
use tonic::Code;
use uuid::Uuid;

use crate::samples::{deleted, new_id, tea_for, updated};
use crate::world::World;

/// More than one transaction.
const MANY: usize = 120;

async fn settled(world: &World) {
    eventually_is("the deletion is settled", 1, async || {
        let settled = "SELECT count(*) FROM known_user WHERE settled_at_ms IS NOT NULL";
        world.count(settled).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn all_open_orders_of_a_deleted_user_are_cancelled_and_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let mut orders = Vec::new();
    while orders.len() < MANY {
        // In small groups: a call that waits too long to begin is refused.
        let placed = join_all((0..5).map(|_| world.place(tea_for(&user_id)))).await;
        orders.extend(placed.into_iter().map(Result::unwrap));
    }
    world.confirm(&orders[0].order_id).await.unwrap();
    world.confirm(&orders[1].order_id).await.unwrap();
    let shipped = world.ship(&orders[1].order_id).await.unwrap();
    let others = world.placed_order().await;

    let deletion = deleted(&user_id, 2);
    world.send(&deletion).await;
    settled(&world).await;
    for order in &orders {
        let now = world.get(&order.order_id).await.unwrap();
        if order.order_id == shipped.order_id {
            let mut erased = shipped.clone();
            erased.tracking_number.clear();
            assert_eq!(now, erased);
            continue;
        }
        assert_eq!(now.state(), OrderState::Cancelled);
        assert_eq!(now.cancellation_reason, "the user was deleted");
    }
    assert_eq!(world.get(&others.order_id).await.unwrap(), others);
    assert_eq!(world.timers().await, 1);

    let mut events = world.outbox().await;
    events.retain(|promised| promised.event_type == "angarium.order.v1.OrderCancelled");
    assert_eq!(events.len(), MANY - 1);
    for promised in events {
        let id = &promised.aggregate_id;
        assert!(orders.iter().any(|order| order.order_id == *id), "{id}");
        assert_eq!(
            promised.correlation_id,
            deletion.correlation_id.clone().unwrap()
        );
    }
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn texts_about_the_orders_of_a_deleted_user_are_erased(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let order = world.placed_order().await;
    let because = "my neighbour Charles has one already";
    world.cancel(&order.order_id, because).await.unwrap();
    let other = world.placed_order().await;
    let kept = world.cancel(&other.order_id, because).await.unwrap();

    world.send(&deleted(&order.user_id, 2)).await;
    settled(&world).await;
    let erased = world.get(&order.order_id).await.unwrap();
    assert_eq!(erased.cancellation_reason, "");
    assert_eq!(erased.state(), OrderState::Cancelled);
    assert_eq!(world.get(&other.order_id).await.unwrap(), kept);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn no_order_is_taken_for_a_deleted_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let deletion = deleted(&user_id, 2);
    world.send(&deletion).await;
    world.becomes(&deletion, "done").await;
    let refused = world.place(tea_for(&user_id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "USER_DELETED");
    assert_eq!(world.count_orders().await, 0);

    let view = world.user_view(&user_id).await.unwrap().user_view.unwrap();
    assert_eq!(view.state(), UserViewState::Deleted);
    assert_eq!(view.user_version, 2);
    world.stop().await;
}

/// Refused, or accepted before the deletion and cancelled.
#[rstest]
#[tokio::test]
async fn an_order_that_races_with_the_deletion_does_not_stay_open(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let placing = join_all((0..10).map(|_| world.place(tea_for(&user_id))));
    let deletion = deleted(&user_id, 2);
    let (placed, ()) = tokio::join!(placing, world.send(&deletion));
    settled(&world).await;
    for answer in placed {
        match answer {
            Ok(order) => {
                let now = world.get(&order.order_id).await.unwrap();
                assert_eq!(now.state(), OrderState::Cancelled);
            }
            Err(refused) => assert_eq!(reason(&refused), "USER_DELETED"),
        }
    }
    world.stop().await;
}

/// SQLite has only one writer.
#[tokio::test]
async fn while_an_order_is_being_placed_its_user_is_not_deleted() {
    let world = World::new(StoreKind::Postgres).await;
    let user_id = world.known_user().await;
    let deleting =
        format!("SELECT 1 FROM known_user WHERE user_id = '{user_id}' FOR UPDATE NOWAIT");

    let placing = ::store::Transaction::begin(&world.db).await.unwrap();
    let id = Uuid::parse_str(&user_id).unwrap();
    users::share_user(&placing, id).await.unwrap().unwrap();
    world.db.execute_unprepared(&deleting).await.unwrap_err();
    placing.commit().await.unwrap();
    world.db.execute_unprepared(&deleting).await.unwrap();
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_next_start_completes_a_deletion_after_a_crash(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let order = world.placed_order().await;
    // As the handler leaves it, without a signal.
    let marked = format!(
        "UPDATE known_user SET deleted_at_ms = 1, correlation_id = 'c' WHERE user_id = '{}'",
        order.user_id
    );
    world.execute(&marked).await;
    let next = world.replica().await;
    settled(&world).await;
    let now = world.get(&order.order_id).await.unwrap();
    assert_eq!(now.state(), OrderState::Cancelled);
    next.stop().await;
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn who_is_deleted_before_being_heard_of_is_deleted(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = new_id();
    let deletion = deleted(&user_id, 1);
    world.send(&deletion).await;
    world.becomes(&deletion, "done").await;
    let refused = world.place(tea_for(&user_id)).await.unwrap_err();
    assert_eq!(reason(&refused), "USER_DELETED");
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_change_of_a_user_only_updates_the_view(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let change = updated(&user_id, 2);
    world.send(&change).await;
    world.becomes(&change, "done").await;
    let view = world.user_view(&user_id).await.unwrap().user_view.unwrap();
    assert_eq!(view.state(), UserViewState::Active);
    assert_eq!(view.user_version, 2);
    world.place(tea_for(&user_id)).await.unwrap();
    world.stop().await;
}
