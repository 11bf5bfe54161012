//! Placing: answers, rows and events.

use std::time::Duration;

use contracts::order::v1::{OrderPlaced, OrderState, PlaceOrderRequest};
use rstest::rstest;
use testkit::{StoreKind, reason};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::{line, money, new_id, tea_for};

#[rstest]
#[tokio::test]
async fn an_order_is_returned_with_its_total_and_read_unchanged(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let request = tea_for(&user_id);
    let order = fixture.place(request.clone()).await.unwrap();

    assert_eq!(order.user_id, user_id);
    assert_eq!(order.state(), OrderState::Placed);
    assert_eq!(order.lines, request.lines);
    // 3 × 4.99 + 2 × 1.24
    assert_eq!(order.total_price, Some(money("EUR", 17, 450_000_000)));
    assert!(order.create_time.is_some());
    assert_eq!(order.update_time, order.create_time);
    assert_eq!(order.cancel_time, None);
    assert_eq!(order.cancellation_reason, "");

    assert_eq!(fixture.get(&order.order_id).await.unwrap(), order);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_limits_themselves_are_taken_and_kept_exactly(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    // An event has at most 64 KiB.
    let widest = "🫖".repeat(64);
    let order = PlaceOrderRequest {
        user_id: user_id.clone(),
        lines: vec![line(&widest, 10_000, money("EUR", 1, 999_999_999)); 100],
        ..PlaceOrderRequest::default()
    };
    let order = fixture.place(order).await.unwrap();
    assert_eq!(order.lines.len(), 100);
    let total = money("EUR", 1_999_999, 999_000_000);
    assert_eq!(order.total_price, Some(total));
    assert_eq!(fixture.get(&order.order_id).await.unwrap(), order);

    let dearest = money("EUR", i64::MAX, 999_999_999);
    let order = PlaceOrderRequest {
        user_id,
        lines: vec![
            line("MOON", 1, dearest.clone()),
            line("FREE", 1, money("EUR", 0, 0)),
        ],
        ..PlaceOrderRequest::default()
    };
    let order = fixture.place(order).await.unwrap();
    assert_eq!(order.total_price, Some(dearest));
    assert_eq!(fixture.get(&order.order_id).await.unwrap(), order);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_order_for_an_unknown_user_is_refused_and_leaves_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.known_user().await;
    let unknown = new_id();
    let refused = fixture.place(tea_for(&unknown)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(reason(&refused), "USER_UNKNOWN");
    let details = refused.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(resource.resource_type, "angarium.user.v1.User");
    assert_eq!(resource.resource_name, unknown);
    // The event of a new user may arrive at any moment.
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait < Duration::from_secs(1));

    assert_eq!(fixture.count_orders().await, 0);
    assert_eq!(fixture.outbox().await, []);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn every_placed_order_is_published_as_one_event(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    // Without a request id, it is not a repetition.
    let first = fixture.place(tea_for(&user_id)).await.unwrap();
    let second = fixture.place(tea_for(&user_id)).await.unwrap();
    assert_ne!(first.order_id, second.order_id);

    let outbox = fixture.outbox().await;
    assert_eq!(outbox.len(), 2, "{outbox:?}");
    for (promised, order) in outbox.iter().zip([first, second]) {
        assert_eq!(promised.event_type, "angarium.order.v1.OrderPlaced");
        assert_eq!(promised.aggregate_id, order.order_id);
        assert_eq!(promised.version, 1);
        let expected = OrderPlaced {
            order_id: order.order_id,
            user_id: order.user_id,
            lines: order.lines,
            total_price: order.total_price,
            create_time: order.create_time,
        };
        assert_eq!(promised.decode::<OrderPlaced>(), expected);
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn where_the_event_cannot_be_kept_there_is_no_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    fixture
        .execute("ALTER TABLE angarium_outbox RENAME TO hidden")
        .await;
    let failed = fixture.place(tea_for(&user_id)).await.unwrap_err();
    assert_eq!(failed.code(), Code::Internal);
    assert_eq!(reason(&failed), "INTERNAL");
    assert_eq!(fixture.count_orders().await, 0);
    assert_eq!(fixture.count("SELECT count(*) FROM order_line").await, 0);

    fixture
        .execute("ALTER TABLE hidden RENAME TO angarium_outbox")
        .await;
    fixture.place(tea_for(&user_id)).await.unwrap();
    assert_eq!(fixture.outbox().await.len(), 1);
    fixture.stop().await;
}
