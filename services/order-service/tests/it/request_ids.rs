//! Calls that are made again with the `request_id` of the first: one effect, one event, one answer.

use contracts::order::v1::{CancelOrderRequest, PlaceOrderRequest};
use futures::future::join_all;
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};

use crate::samples::{new_id, tea_for};
use crate::world::World;

fn tea_once_for(user_id: &str) -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: new_id(),
        ..tea_for(user_id)
    }
}

#[rstest]
#[tokio::test]
async fn of_fifty_equal_calls_at_once_one_places_an_order_and_all_get_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let request = tea_once_for(&user_id);
    let answers = join_all((0..50).map(|_| world.place(request.clone()))).await;
    let first = answers[0].as_ref().unwrap();
    for answer in &answers {
        assert_eq!(answer.as_ref().unwrap(), first);
    }
    assert_eq!(world.count_orders().await, 1);
    assert_eq!(world.outbox().await.len(), 1);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_replay_gets_the_first_answer_whatever_has_become_of_the_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let request = tea_once_for(&user_id);
    let placed = world.place(request.clone()).await.unwrap();
    let cancel = CancelOrderRequest {
        order_id: placed.order_id.clone(),
        reason: "too late".to_owned(),
        // The same id is another call of another method.
        request_id: request.request_id.clone(),
    };
    let cancelled = world.cancel_by(cancel.clone()).await.unwrap();

    assert_eq!(world.cancel_by(cancel).await.unwrap(), cancelled);
    assert_eq!(world.place(request).await.unwrap(), placed);
    assert_eq!(world.count_orders().await, 1);
    assert_eq!(world.outbox().await.len(), 2);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn another_order_with_the_same_id_is_refused_and_a_failed_one_may_be_repeated(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = new_id();
    let request = tea_once_for(&user_id);
    let refused = world.place(request.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "USER_UNKNOWN");

    let known = PlaceOrderRequest {
        user_id: world.known_user().await,
        ..request
    };
    world.place(known.clone()).await.unwrap();
    let mut other = known.clone();
    other.lines[0].quantity += 1;
    let refused = world.place(other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    assert_eq!(violated_fields(&refused), ["request_id"]);

    let no_id = PlaceOrderRequest {
        request_id: "cart 42".to_owned(),
        ..known
    };
    let refused = world.place(no_id).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["request_id"]);
    assert_eq!(world.count_orders().await, 1);
    world.stop().await;
}
