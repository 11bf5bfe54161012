//! Cancelling: once, with a reason, published as the order's second event.

use contracts::order::v1::{Order, OrderCancelled, OrderPlaced, OrderState};
use futures::future::join_all;
use rstest::rstest;
use testkit::{Stack, StoreKind, reason, violated_fields};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::tea_for;

#[rstest]
#[tokio::test]
async fn a_cancelled_order_keeps_its_data_and_has_time_and_reason(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let placed = fixture.placed_order().await;
    let because = "the cup was the wrong blue";
    let cancelled = fixture.cancel(&placed.order_id, because).await.unwrap();

    assert!(cancelled.cancel_time.is_some());
    let expected = Order {
        state: OrderState::Cancelled.into(),
        update_time: cancelled.cancel_time,
        cancel_time: cancelled.cancel_time,
        cancellation_reason: because.to_owned(),
        expire_time: None,
        etag: "\"2\"".to_owned(),
        ..placed
    };
    assert_eq!(cancelled, expected);
    assert_eq!(fixture.get(&cancelled.order_id).await.unwrap(), cancelled);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_second_cancellation_is_refused_and_the_first_reason_stands(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let cancelled = fixture.cancel(&order_id, "first").await.unwrap();

    let refused = fixture.cancel(&order_id, "second").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "ORDER_ALREADY_CANCELLED");
    let details = refused.get_error_details();
    let violation = &details.precondition_failure().unwrap().violations[0];
    assert_eq!(violation.r#type, "ORDER_STATE");
    assert_eq!(violation.subject, order_id);

    assert_eq!(fixture.get(&order_id).await.unwrap(), cancelled);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_reason_may_be_left_out_or_long_but_not_too_long(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let refused = fixture
        .cancel(&order_id, &"ä".repeat(501))
        .await
        .unwrap_err();
    assert_eq!(violated_fields(&refused), ["reason"]);
    let refused = fixture
        .cancel("order-1", &"ä".repeat(501))
        .await
        .unwrap_err();
    assert_eq!(violated_fields(&refused), ["order_id", "reason"]);
    assert_eq!(fixture.outbox().await.len(), 1);

    let longest = format!("first line\nsecond\tline {}", "ä".repeat(477));
    assert_eq!(longest.chars().count(), 500);
    let cancelled = fixture.cancel(&order_id, &longest).await.unwrap();
    assert_eq!(cancelled.cancellation_reason, longest);

    let other = fixture.placed_order().await.order_id;
    let cancelled = fixture.cancel(&other, "").await.unwrap();
    assert_eq!(cancelled.cancellation_reason, "");
    assert!(cancelled.cancel_time.is_some());
    assert_eq!(fixture.get(&other).await.unwrap(), cancelled);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_orders_events_are_in_order_and_name_their_calls(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let fixture = Fixture::on_stack(stack).await;
    let user_id = fixture.known_user().await;
    let calls = ["cart-42", "regret-43"];
    let (placed, cancelled) = fixture
        .place_and_cancel_as(calls, tea_for(&user_id), "too late")
        .await;

    let outbox = fixture.outbox().await;
    let [first, second] = outbox.as_slice() else {
        panic!("not two events: {outbox:?}");
    };
    for (promised, version, call) in [(first, 1, calls[0]), (second, 2, calls[1])] {
        assert_eq!(promised.aggregate_id, placed.order_id);
        assert_eq!(promised.version, version);
        assert_eq!(promised.correlation_id, call);
    }
    let expected = OrderPlaced {
        order_id: placed.order_id.clone(),
        user_id: user_id.clone(),
        lines: placed.lines,
        total_price: placed.total_price,
        create_time: placed.create_time,
    };
    assert_eq!(first.decode::<OrderPlaced>(), expected);
    let expected = OrderCancelled {
        order_id: placed.order_id,
        user_id,
        reason: "too late".to_owned(),
        cancel_time: cancelled.cancel_time,
    };
    assert_eq!(second.decode::<OrderCancelled>(), expected);

    let mut subscriber = fixture.subscriber().await;
    for (promised, routing_key) in [(first, "order.placed"), (second, "order.cancelled")] {
        let message = subscriber.receive().await;
        assert_eq!(message.exchange, "order_events");
        assert_eq!(message.routing_key, routing_key);
        assert_eq!(message.app_id.as_deref(), Some("order-service"));
        let call = Some(promised.correlation_id.as_str());
        assert_eq!(message.correlation_id.as_deref(), call);
        assert_eq!(message.body, promised.payload);
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn of_fifty_who_cancel_at_once_exactly_one_does(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let reasons: Vec<String> = (0..50).map(|index| format!("reason {index}")).collect();
    let calls = reasons
        .iter()
        .map(|reason| fixture.cancel(&order_id, reason));
    let (done, refused): (Vec<_>, Vec<_>) =
        join_all(calls).await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1, "{refused:?}");
    for refused in refused {
        assert_eq!(reason(&refused.unwrap_err()), "ORDER_ALREADY_CANCELLED");
    }

    let outbox = fixture.outbox().await;
    let versions: Vec<i64> = outbox.iter().map(|promised| promised.version).collect();
    assert_eq!(versions, [1, 2]);
    let cancelled = done.into_iter().next().unwrap().unwrap();
    let event = outbox[1].decode::<OrderCancelled>();
    assert_eq!(event.reason, cancelled.cancellation_reason);
    assert_eq!(fixture.get(&order_id).await.unwrap(), cancelled);
    fixture.stop().await;
}
