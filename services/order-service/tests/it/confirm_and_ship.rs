//! Confirming and shipping: answers, events, and states that forbid it.

use contracts::order::v1::{
    ConfirmOrderRequest, Order, OrderConfirmed, OrderShipped, OrderState, ShipOrderRequest,
};
use rstest::rstest;
use testkit::{Stack, StoreKind, reason, violated_fields};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::{new_id, parcel_of};

#[rstest]
#[tokio::test]
async fn an_order_is_confirmed_and_shipped_and_each_is_published(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let fixture = Fixture::on_stack(stack).await;
    let placed = fixture.placed_order().await;
    let confirmed = fixture.confirm(&placed.order_id).await.unwrap();
    assert!(confirmed.confirm_time.is_some());
    let expected = Order {
        state: OrderState::Confirmed.into(),
        update_time: confirmed.confirm_time,
        confirm_time: confirmed.confirm_time,
        expire_time: None,
        etag: "\"2\"".to_owned(),
        ..placed
    };
    assert_eq!(confirmed, expected);
    assert_eq!(fixture.get(&confirmed.order_id).await.unwrap(), confirmed);

    let shipped = fixture.ship(&confirmed.order_id).await.unwrap();
    assert!(shipped.ship_time.is_some());
    let expected = Order {
        state: OrderState::Shipped.into(),
        update_time: shipped.ship_time,
        ship_time: shipped.ship_time,
        carrier: "Royal Road".to_owned(),
        tracking_number: "SUSA-SARDIS-111".to_owned(),
        etag: "\"3\"".to_owned(),
        ..confirmed
    };
    assert_eq!(shipped, expected);
    assert_eq!(fixture.get(&shipped.order_id).await.unwrap(), shipped);

    let outbox = fixture.outbox().await;
    let [_, second, third] = outbox.as_slice() else {
        panic!("not three events: {outbox:?}");
    };
    assert_eq!((second.version, third.version), (2, 3));
    let expected = OrderConfirmed {
        order_id: shipped.order_id.clone(),
        user_id: shipped.user_id.clone(),
        confirm_time: shipped.confirm_time,
    };
    assert_eq!(second.decode::<OrderConfirmed>(), expected);
    let expected = OrderShipped {
        order_id: shipped.order_id,
        user_id: shipped.user_id,
        carrier: shipped.carrier,
        tracking_number: shipped.tracking_number,
        ship_time: shipped.ship_time,
    };
    assert_eq!(third.decode::<OrderShipped>(), expected);

    let mut subscriber = fixture.subscriber().await;
    for routing_key in ["order.placed", "order.confirmed", "order.shipped"] {
        assert_eq!(subscriber.receive().await.routing_key, routing_key);
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_cancelled_order_keeps_its_confirm_time(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let confirmed = fixture.confirm(&order_id).await.unwrap();
    let cancelled = fixture.cancel(&order_id, "out of stock").await.unwrap();
    assert_eq!(cancelled.state(), OrderState::Cancelled);
    assert_eq!(cancelled.confirm_time, confirmed.confirm_time);
    assert_eq!(fixture.get(&order_id).await.unwrap(), cancelled);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_illegal_step_is_refused_and_changes_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let mut refused = vec![("ORDER_NOT_CONFIRMED", fixture.ship(&order_id).await)];
    fixture.confirm(&order_id).await.unwrap();
    refused.push(("ORDER_ALREADY_CONFIRMED", fixture.confirm(&order_id).await));
    let shipped = fixture.ship(&order_id).await.unwrap();
    refused.extend([
        ("ORDER_ALREADY_SHIPPED", fixture.confirm(&order_id).await),
        ("ORDER_ALREADY_SHIPPED", fixture.ship(&order_id).await),
        ("ORDER_ALREADY_SHIPPED", fixture.cancel(&order_id, "").await),
    ]);
    assert_eq!(fixture.get(&order_id).await.unwrap(), shipped);
    assert_eq!(fixture.outbox().await.len(), 3);

    let cancelled = fixture.placed_order().await.order_id;
    fixture.cancel(&cancelled, "").await.unwrap();
    refused.extend([
        ("ORDER_ALREADY_CANCELLED", fixture.confirm(&cancelled).await),
        ("ORDER_ALREADY_CANCELLED", fixture.ship(&cancelled).await),
    ]);
    for (expected, answer) in refused {
        let refused = answer.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
        assert_eq!(reason(&refused), expected);
        let details = refused.get_error_details();
        let violation = &details.precondition_failure().unwrap().violations[0];
        assert_eq!(violation.r#type, "ORDER_STATE");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_order_that_has_changed_since_its_etag_is_left_as_it_is(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let placed = fixture.placed_order().await;
    let confirming = ConfirmOrderRequest {
        order_id: placed.order_id.clone(),
        etag: placed.etag.clone(),
        ..ConfirmOrderRequest::default()
    };
    let confirmed = fixture.confirm_as(confirming).await.unwrap();

    let late = ShipOrderRequest {
        etag: placed.etag,
        ..parcel_of(&placed.order_id)
    };
    let refused = fixture.ship_as(late.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    assert_eq!(reason(&refused), "ETAG_MISMATCH");
    assert_eq!(fixture.get(&placed.order_id).await.unwrap(), confirmed);

    let in_time = ShipOrderRequest {
        etag: confirmed.etag,
        ..late
    };
    fixture.ship_as(in_time).await.unwrap();
    fixture.stop().await;
}

#[tokio::test]
async fn every_invalid_field_is_named_at_once() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let wrong = ShipOrderRequest {
        order_id: "order-1".to_owned(),
        carrier: String::new(),
        tracking_number: "1".repeat(65),
        etag: "3".repeat(33),
        ..ShipOrderRequest::default()
    };
    let mut fields = violated_fields(&fixture.ship_as(wrong).await.unwrap_err());
    fields.sort();
    assert_eq!(fields, ["carrier", "etag", "order_id", "tracking_number"]);

    let order_id = fixture.placed_order().await.order_id;
    fixture.confirm(&order_id).await.unwrap();
    for text in ["Royal\nRoad", "Royal\0Road", "\u{7}"] {
        let wrong = ShipOrderRequest {
            carrier: text.to_owned(),
            tracking_number: text.to_owned(),
            ..parcel_of(&order_id)
        };
        let refused = fixture.ship_as(wrong).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["carrier", "tracking_number"]);
    }
    let longest = ShipOrderRequest {
        carrier: "ä".repeat(64),
        tracking_number: "🐎".repeat(64),
        ..parcel_of(&order_id)
    };
    let shipped = fixture.ship_as(longest.clone()).await.unwrap();
    assert_eq!(shipped.carrier, longest.carrier);
    assert_eq!(shipped.tracking_number, longest.tracking_number);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_neither_confirmed_nor_shipped() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let unknown = new_id();
    for refused in [
        fixture.confirm(&unknown).await.unwrap_err(),
        fixture.ship(&unknown).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::NotFound);
        assert_eq!(reason(&refused), "ORDER_NOT_FOUND");
    }
    fixture.stop().await;
}
