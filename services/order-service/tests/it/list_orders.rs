//! Newest first, by state and by user, page by page, and only the caller's own.

use contracts::order::v1::{ListOrdersRequest, Order, OrderState, PlaceOrderRequest};
use rstest::rstest;
use testkit::{StoreKind, authorized, reason, violated_fields};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::samples::{line, money, new_id, tea_for};
use crate::world::World;

/// In a call with `token`.
async fn page(
    world: &World,
    token: &str,
    request: ListOrdersRequest,
) -> Result<(Vec<Order>, String), Status> {
    let answer = world
        .client()
        .list_orders(authorized(token, request))
        .await?;
    let answer = answer.into_inner();
    Ok((answer.orders, answer.next_page_token))
}

async fn all(world: &World, token: &str, mut request: ListOrdersRequest) -> Vec<Order> {
    let mut orders = Vec::new();
    loop {
        let (found, next) = page(world, token, request.clone()).await.unwrap();
        orders.extend(found);
        if next.is_empty() {
            return orders;
        }
        request.page_token = next;
    }
}

async fn placed(world: &World, user_id: &str, count: usize) -> Vec<Order> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(world.place(tea_for(user_id)).await.unwrap());
    }
    orders.reverse();
    orders
}

fn token_of(world: &World, user_id: &str) -> String {
    world.tokens.user(Uuid::parse_str(user_id).unwrap())
}

#[rstest]
#[tokio::test]
async fn pages_of_any_size_make_up_the_whole_list_newest_first(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let orders = placed(&world, &user_id, 7).await;
    let token = token_of(&world, &user_id);
    for page_size in [0, 1, 2, 6, 7, 8, i32::MAX] {
        let request = ListOrdersRequest {
            page_size,
            ..ListOrdersRequest::default()
        };
        assert_eq!(all(&world, &token, request).await, orders, "{page_size}");
    }
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_order_that_comes_between_two_pages_moves_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let orders = placed(&world, &user_id, 4).await;
    let token = token_of(&world, &user_id);
    let request = ListOrdersRequest {
        page_size: 2,
        ..ListOrdersRequest::default()
    };
    let (first, page_token) = page(&world, &token, request.clone()).await.unwrap();
    assert_eq!(first, orders[..2]);
    world.place(tea_for(&user_id)).await.unwrap();
    let request = ListOrdersRequest {
        page_token,
        ..request
    };
    assert_eq!(all(&world, &token, request).await, orders[2..]);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_list_has_exactly_the_orders_of_its_state_and_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let [ada, bob] = [world.known_user().await, world.known_user().await];
    let adas = placed(&world, &ada, 3).await;
    let bobs = placed(&world, &bob, 2).await;
    let confirmed = world.confirm(&adas[1].order_id).await.unwrap();
    let cancelled = world.cancel(&bobs[0].order_id, "").await.unwrap();

    let admin = world.tokens.admin();
    let by = |state: OrderState, user_id: &str| ListOrdersRequest {
        state: state.into(),
        user_id: user_id.to_owned(),
        page_size: 1,
        ..ListOrdersRequest::default()
    };
    let every = OrderState::Unspecified;
    assert_eq!(all(&world, &admin, by(every, "")).await.len(), 5);
    assert_eq!(all(&world, &admin, by(every, &ada)).await.len(), 3);
    let found = all(&world, &admin, by(OrderState::Confirmed, "")).await;
    assert_eq!(found, std::slice::from_ref(&confirmed));
    let found = all(&world, &admin, by(OrderState::Cancelled, &bob)).await;
    assert_eq!(found, [cancelled]);
    assert_eq!(all(&world, &admin, by(OrderState::Shipped, "")).await, []);
    assert_eq!(all(&world, &admin, by(every, &new_id())).await, []);

    let token = token_of(&world, &ada);
    for own in ["", ada.as_str()] {
        let found = all(&world, &token, by(OrderState::Placed, own)).await;
        assert_eq!(found, [adas[0].clone(), adas[2].clone()]);
        let found = all(&world, &token, by(OrderState::Confirmed, own)).await;
        assert_eq!(found, std::slice::from_ref(&confirmed));
    }
    let denied = page(&world, &token, by(every, &bob)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(reason(&denied), "PERMISSION_DENIED");
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_token_of_another_list_is_refused_with_all_other_violations(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let [ada, bob] = [world.known_user().await, world.known_user().await];
    placed(&world, &ada, 2).await;
    let one = ListOrdersRequest {
        page_size: 1,
        ..ListOrdersRequest::default()
    };
    let token = token_of(&world, &ada);
    let (_, page_token) = page(&world, &token, one.clone()).await.unwrap();
    assert_ne!(page_token, "");
    let next = ListOrdersRequest { page_token, ..one };

    let other_state = ListOrdersRequest {
        state: OrderState::Placed.into(),
        ..next.clone()
    };
    let refused = page(&world, &token, other_state).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["page_token"]);
    for other in [token_of(&world, &bob), world.tokens.admin()] {
        let refused = page(&world, &other, next.clone()).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["page_token"]);
    }
    let wrong = ListOrdersRequest {
        state: 99,
        user_id: "ada".to_owned(),
        page_size: -1,
        page_token: "made up".to_owned(),
    };
    let admin = world.tokens.admin();
    let mut fields = violated_fields(&page(&world, &admin, wrong).await.unwrap_err());
    fields.sort();
    assert_eq!(fields, ["page_size", "page_token", "state", "user_id"]);
    world.stop().await;
}

/// Each order has the maximum size: together they exceed one answer.
#[rstest]
#[tokio::test]
async fn a_page_of_large_orders_ends_before_it_is_too_large(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user_id = world.known_user().await;
    let widest = "🫖".repeat(64);
    let large = PlaceOrderRequest {
        lines: vec![line(&widest, 10_000, money("EUR", 1, 999_999_999)); 100],
        ..tea_for(&user_id)
    };
    for _ in 0..25 {
        world.place(large.clone()).await.unwrap();
    }
    let request = ListOrdersRequest {
        page_size: 1000,
        ..ListOrdersRequest::default()
    };
    let token = token_of(&world, &user_id);
    let (first, next) = page(&world, &token, request.clone()).await.unwrap();
    assert_eq!(first.len(), 20);
    assert_ne!(next, "");
    assert_eq!(all(&world, &token, request).await.len(), 25);
    world.stop().await;
}
