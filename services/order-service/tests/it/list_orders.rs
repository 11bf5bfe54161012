//! Newest first, by state and by user, page by page, and only the caller's own.

use contracts::order::v1::{ListOrdersRequest, Order, OrderState, PlaceOrderRequest};
use rstest::rstest;
use testkit::{StoreKind, authorized, reason, violated_fields};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{line, money, new_id, tea_for};

/// In a call with `token`.
async fn page(
    fixture: &Fixture,
    token: &str,
    request: ListOrdersRequest,
) -> Result<(Vec<Order>, String), Status> {
    let answer = fixture
        .client()
        .list_orders(authorized(token, request))
        .await?;
    let answer = answer.into_inner();
    Ok((answer.orders, answer.next_page_token))
}

async fn all(fixture: &Fixture, token: &str, mut request: ListOrdersRequest) -> Vec<Order> {
    let mut orders = Vec::new();
    loop {
        let (found, next) = page(fixture, token, request.clone()).await.unwrap();
        orders.extend(found);
        if next.is_empty() {
            return orders;
        }
        request.page_token = next;
    }
}

async fn placed(fixture: &Fixture, user_id: &str, count: usize) -> Vec<Order> {
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(fixture.place(tea_for(user_id)).await.unwrap());
    }
    orders.reverse();
    orders
}

fn token_of(fixture: &Fixture, user_id: &str) -> String {
    fixture.tokens.user(Uuid::parse_str(user_id).unwrap())
}

#[rstest]
#[tokio::test]
async fn pages_of_any_size_make_up_the_whole_list_newest_first(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let orders = placed(&fixture, &user_id, 7).await;
    let token = token_of(&fixture, &user_id);
    for page_size in [0, 1, 2, 6, 7, 8, i32::MAX] {
        let request = ListOrdersRequest {
            page_size,
            ..ListOrdersRequest::default()
        };
        assert_eq!(all(&fixture, &token, request).await, orders, "{page_size}");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_order_that_comes_between_two_pages_moves_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let orders = placed(&fixture, &user_id, 4).await;
    let token = token_of(&fixture, &user_id);
    let request = ListOrdersRequest {
        page_size: 2,
        ..ListOrdersRequest::default()
    };
    let (first, page_token) = page(&fixture, &token, request.clone()).await.unwrap();
    assert_eq!(first, orders[..2]);
    fixture.place(tea_for(&user_id)).await.unwrap();
    let request = ListOrdersRequest {
        page_token,
        ..request
    };
    assert_eq!(all(&fixture, &token, request).await, orders[2..]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_list_has_exactly_the_orders_of_its_state_and_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let [ada, bob] = [fixture.known_user().await, fixture.known_user().await];
    let adas = placed(&fixture, &ada, 3).await;
    let bobs = placed(&fixture, &bob, 2).await;
    let confirmed = fixture.confirm(&adas[1].order_id).await.unwrap();
    let cancelled = fixture.cancel(&bobs[0].order_id, "").await.unwrap();

    let admin = fixture.tokens.admin();
    let by = |state: OrderState, user_id: &str| ListOrdersRequest {
        state: state.into(),
        user_id: user_id.to_owned(),
        page_size: 1,
        ..ListOrdersRequest::default()
    };
    let every = OrderState::Unspecified;
    assert_eq!(all(&fixture, &admin, by(every, "")).await.len(), 5);
    assert_eq!(all(&fixture, &admin, by(every, &ada)).await.len(), 3);
    let found = all(&fixture, &admin, by(OrderState::Confirmed, "")).await;
    assert_eq!(found, std::slice::from_ref(&confirmed));
    let found = all(&fixture, &admin, by(OrderState::Cancelled, &bob)).await;
    assert_eq!(found, [cancelled]);
    assert_eq!(all(&fixture, &admin, by(OrderState::Shipped, "")).await, []);
    assert_eq!(all(&fixture, &admin, by(every, &new_id())).await, []);

    let token = token_of(&fixture, &ada);
    for own in ["", ada.as_str()] {
        let found = all(&fixture, &token, by(OrderState::Placed, own)).await;
        assert_eq!(found, [adas[0].clone(), adas[2].clone()]);
        let found = all(&fixture, &token, by(OrderState::Confirmed, own)).await;
        assert_eq!(found, std::slice::from_ref(&confirmed));
    }
    let denied = page(&fixture, &token, by(every, &bob)).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    assert_eq!(reason(&denied), "PERMISSION_DENIED");
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_token_of_another_list_is_refused_with_all_other_violations(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let [ada, bob] = [fixture.known_user().await, fixture.known_user().await];
    placed(&fixture, &ada, 2).await;
    let one = ListOrdersRequest {
        page_size: 1,
        ..ListOrdersRequest::default()
    };
    let token = token_of(&fixture, &ada);
    let (_, page_token) = page(&fixture, &token, one.clone()).await.unwrap();
    assert_ne!(page_token, "");
    let next = ListOrdersRequest { page_token, ..one };

    let other_state = ListOrdersRequest {
        state: OrderState::Placed.into(),
        ..next.clone()
    };
    let refused = page(&fixture, &token, other_state).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["page_token"]);
    for other in [token_of(&fixture, &bob), fixture.tokens.admin()] {
        let refused = page(&fixture, &other, next.clone()).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["page_token"]);
    }
    let wrong = ListOrdersRequest {
        state: 99,
        user_id: "ada".to_owned(),
        page_size: -1,
        page_token: "made up".to_owned(),
    };
    let admin = fixture.tokens.admin();
    let mut fields = violated_fields(&page(&fixture, &admin, wrong).await.unwrap_err());
    fields.sort();
    assert_eq!(fields, ["page_size", "page_token", "state", "user_id"]);
    fixture.stop().await;
}

/// Each order has the maximum size: together they exceed one answer.
#[rstest]
#[tokio::test]
async fn a_page_of_large_orders_ends_before_it_is_too_large(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let widest = "🫖".repeat(64);
    let large = PlaceOrderRequest {
        lines: vec![line(&widest, 10_000, money("EUR", 1, 999_999_999)); 100],
        ..tea_for(&user_id)
    };
    for _ in 0..25 {
        fixture.place(large.clone()).await.unwrap();
    }
    let request = ListOrdersRequest {
        page_size: 1000,
        ..ListOrdersRequest::default()
    };
    let token = token_of(&fixture, &user_id);
    let (first, next) = page(&fixture, &token, request.clone()).await.unwrap();
    assert_eq!(first.len(), 20);
    assert_ne!(next, "");
    assert_eq!(all(&fixture, &token, request).await.len(), 25);
    fixture.stop().await;
}
