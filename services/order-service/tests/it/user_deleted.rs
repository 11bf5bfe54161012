//! All open orders are cancelled, texts in the others are erased, and no new order is accepted.

use contracts::order::v1::{OrderState, UserViewState};
use futures::future::join_all;
use order_service::store::users;
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{StoreKind, eventually_is, reason};
use tonic::Code;
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{deleted, new_id, tea_for, updated};

/// More than one transaction.
const MANY: usize = 120;

async fn settled(fixture: &Fixture) {
    eventually_is("the deletion is settled", 1, async || {
        let settled = "SELECT count(*) FROM known_user WHERE settled_at_ms IS NOT NULL";
        fixture.count(settled).await
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn all_open_orders_of_a_deleted_user_are_cancelled_and_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let mut orders = Vec::new();
    while orders.len() < MANY {
        // In small groups: a call that waits too long to begin is refused.
        let placed = join_all((0..5).map(|_| fixture.place(tea_for(&user_id)))).await;
        orders.extend(placed.into_iter().map(Result::unwrap));
    }
    fixture.confirm(&orders[0].order_id).await.unwrap();
    fixture.confirm(&orders[1].order_id).await.unwrap();
    let shipped = fixture.ship(&orders[1].order_id).await.unwrap();
    let others = fixture.placed_order().await;

    let deletion = deleted(&user_id, 2);
    fixture.send(&deletion).await;
    settled(&fixture).await;
    for order in &orders {
        let now = fixture.get(&order.order_id).await.unwrap();
        if order.order_id == shipped.order_id {
            let mut erased = shipped.clone();
            erased.tracking_number.clear();
            assert_eq!(now, erased);
            continue;
        }
        assert_eq!(now.state(), OrderState::Cancelled);
        assert_eq!(now.cancellation_reason, "the user was deleted");
    }
    assert_eq!(fixture.get(&others.order_id).await.unwrap(), others);
    assert_eq!(fixture.timers().await, 1);

    let mut events = fixture.outbox().await;
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
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn texts_about_the_orders_of_a_deleted_user_are_erased(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order = fixture.placed_order().await;
    let because = "my neighbour Charles has one already";
    fixture.cancel(&order.order_id, because).await.unwrap();
    let other = fixture.placed_order().await;
    let kept = fixture.cancel(&other.order_id, because).await.unwrap();

    fixture.send(&deleted(&order.user_id, 2)).await;
    settled(&fixture).await;
    let erased = fixture.get(&order.order_id).await.unwrap();
    assert_eq!(erased.cancellation_reason, "");
    assert_eq!(erased.state(), OrderState::Cancelled);
    assert_eq!(fixture.get(&other.order_id).await.unwrap(), kept);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_deletion_that_always_fails_keeps_no_other(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let (damaged, user_id) = (fixture.known_user().await, fixture.known_user().await);
    let marking = format!(
        "UPDATE known_user SET deleted_at_ms = 1, deletion_event_id = 'damaged' WHERE user_id = '{damaged}'"
    );
    fixture.db.execute_unprepared(&marking).await.unwrap();
    fixture.send(&deleted(&user_id, 2)).await;
    settled(&fixture).await;
    let left = "SELECT count(*) FROM known_user WHERE deleted_at_ms = 1 AND settled_at_ms IS NULL";
    assert_eq!(fixture.count(left).await, 1);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn no_order_is_taken_for_a_deleted_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let deletion = deleted(&user_id, 2);
    fixture.send(&deletion).await;
    fixture.becomes(&deletion, "done").await;
    let refused = fixture.place(tea_for(&user_id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "USER_DELETED");
    assert_eq!(fixture.count_orders().await, 0);

    let view = fixture
        .user_view(&user_id)
        .await
        .unwrap()
        .user_view
        .unwrap();
    assert_eq!(view.state(), UserViewState::Deleted);
    assert_eq!(view.user_version, 2);
    fixture.stop().await;
}

/// Refused, or accepted before the deletion and cancelled.
#[rstest]
#[tokio::test]
async fn an_order_that_races_with_the_deletion_does_not_stay_open(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let placing = join_all((0..10).map(|_| fixture.place(tea_for(&user_id))));
    let deletion = deleted(&user_id, 2);
    let (placed, ()) = tokio::join!(placing, fixture.send(&deletion));
    settled(&fixture).await;
    for answer in placed {
        match answer {
            Ok(order) => {
                let now = fixture.get(&order.order_id).await.unwrap();
                assert_eq!(now.state(), OrderState::Cancelled);
            }
            Err(refused) => assert_eq!(reason(&refused), "USER_DELETED"),
        }
    }
    fixture.stop().await;
}

/// SQLite has only one writer.
#[tokio::test]
async fn while_an_order_is_being_placed_its_user_is_not_deleted() {
    let fixture = Fixture::new(StoreKind::Postgres).await;
    let user_id = fixture.known_user().await;
    let deleting =
        format!("SELECT 1 FROM known_user WHERE user_id = '{user_id}' FOR UPDATE NOWAIT");

    let placing = ::store::Transaction::begin(&fixture.db).await.unwrap();
    let id = Uuid::parse_str(&user_id).unwrap();
    users::share_user(&placing, id).await.unwrap().unwrap();
    fixture.db.execute_unprepared(&deleting).await.unwrap_err();
    placing.commit().await.unwrap();
    fixture.db.execute_unprepared(&deleting).await.unwrap();
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_next_start_completes_a_deletion_after_a_crash(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order = fixture.placed_order().await;
    // As the handler leaves it, without a signal.
    let marked = format!(
        "UPDATE known_user SET deleted_at_ms = 1, correlation_id = 'c' WHERE user_id = '{}'",
        order.user_id
    );
    fixture.execute(&marked).await;
    let next = fixture.replica().await;
    settled(&fixture).await;
    let now = fixture.get(&order.order_id).await.unwrap();
    assert_eq!(now.state(), OrderState::Cancelled);
    next.stop().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn who_is_deleted_before_being_heard_of_is_deleted(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let deletion = deleted(&user_id, 1);
    fixture.send(&deletion).await;
    fixture.becomes(&deletion, "done").await;
    let refused = fixture.place(tea_for(&user_id)).await.unwrap_err();
    assert_eq!(reason(&refused), "USER_DELETED");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_change_of_a_user_only_updates_the_view(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let change = updated(&user_id, 2);
    fixture.send(&change).await;
    fixture.becomes(&change, "done").await;
    let view = fixture
        .user_view(&user_id)
        .await
        .unwrap()
        .user_view
        .unwrap();
    assert_eq!(view.state(), UserViewState::Active);
    assert_eq!(view.user_version, 2);
    fixture.place(tea_for(&user_id)).await.unwrap();
    fixture.stop().await;
}
