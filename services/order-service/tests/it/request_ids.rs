//! Repeated calls with a `request_id`.

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{
    CancelOrderRequest, ConfirmOrderRequest, OrderState, PlaceOrderRequest, ShipOrderRequest,
};
use futures::future::join_all;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, Statement};
use testkit::{StoreKind, authorized, reason, violated_fields};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{new_id, parcel_of, tea_for};

/// Of fifty calls each.
const ROUNDS: u64 = 5;

/// Always with the same id.
fn tea_for_all(user_id: &str) -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: "019aa5b2-6f3e-7c41-9a53-0d4c8a4f2b11".to_owned(),
        ..tea_for(user_id)
    }
}

fn tea_once_for(user_id: &str) -> PlaceOrderRequest {
    PlaceOrderRequest {
        request_id: new_id(),
        ..tea_for(user_id)
    }
}

#[rstest]
#[tokio::test]
async fn fifty_equal_calls_place_one_order_and_all_get_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    for round in 1..=ROUNDS {
        let request = tea_once_for(&user_id);
        let answers = join_all((0..50).map(|_| fixture.place(request.clone()))).await;
        let first = answers[0].as_ref().unwrap();
        for answer in &answers {
            assert_eq!(answer.as_ref().unwrap(), first);
        }
        assert_eq!(fixture.count_orders().await, round);
        let events = fixture.outbox().await;
        assert_eq!(events.len() as u64, round);
        assert_eq!(events.last().unwrap().aggregate_id, first.order_id);
    }
    assert_eq!(fixture.timers().await as u64, ROUNDS);
    fixture.stop().await;
}

/// The order would refuse the second call.
#[rstest]
#[tokio::test]
async fn fifty_equal_calls_change_the_order_once_and_all_see_it(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let confirming = ConfirmOrderRequest {
        order_id: order_id.clone(),
        request_id: new_id(),
        ..ConfirmOrderRequest::default()
    };
    let shipping = ShipOrderRequest {
        request_id: new_id(),
        ..parcel_of(&order_id)
    };
    let confirmed = join_all((0..50).map(|_| fixture.confirm_as(confirming.clone()))).await;
    let shipped = join_all((0..50).map(|_| fixture.ship_as(shipping.clone()))).await;
    for (answers, state) in [
        (confirmed, OrderState::Confirmed),
        (shipped, OrderState::Shipped),
    ] {
        let first = answers[0].as_ref().unwrap();
        assert_eq!(first.state(), state);
        for answer in &answers {
            assert_eq!(answer.as_ref().unwrap(), first);
        }
    }
    assert_eq!(fixture.outbox().await.len(), 3);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_replay_gets_the_first_answer_from_another_process(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let token = fixture.tokens.user(Uuid::parse_str(&user_id).unwrap());
    let request = || authorized(&token, tea_for_all(&user_id));
    let first = fixture.client().place_order(request()).await.unwrap();
    let next = fixture.replica().await;
    let mut elsewhere = OrderServiceClient::new(next.channel());
    let again = elsewhere.place_order(request()).await.unwrap();
    assert_eq!(again.into_inner(), first.into_inner());
    assert_eq!(fixture.count_orders().await, 1);
    next.stop().await;
    fixture.stop().await;
}

/// It may have to be erased before the answer expires.
#[rstest]
#[tokio::test]
async fn texts_by_people_are_not_stored_with_the_answer(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let cancelling = CancelOrderRequest {
        order_id: fixture.placed_order().await.order_id,
        reason: "a gift for Charles".to_owned(),
        request_id: new_id(),
        ..CancelOrderRequest::default()
    };
    fixture.cancel_by(cancelling).await.unwrap();
    let statement = Statement::from_string(
        fixture.db.get_database_backend(),
        "SELECT response FROM angarium_idempotency",
    );
    let rows = fixture.db.query_all_raw(statement).await.unwrap();
    let [kept] = rows.as_slice() else {
        panic!("{} answers are kept", rows.len());
    };
    let kept: Vec<u8> = kept.try_get_by_index(0).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("Charles"));
    fixture.stop().await;
}

/// Other callers cannot use the id.
#[rstest]
#[tokio::test]
async fn a_request_id_is_its_callers_own(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let mut orders = Vec::new();
    for user_id in [fixture.known_user().await, fixture.known_user().await] {
        let token = fixture.tokens.user(Uuid::parse_str(&user_id).unwrap());
        let request = authorized(&token, tea_for_all(""));
        let answer = fixture.client().place_order(request).await.unwrap();
        let order = answer.into_inner().order.unwrap();
        assert_eq!(order.user_id, user_id);
        orders.push(order);
    }
    assert_ne!(orders[0].order_id, orders[1].order_id);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_replay_gets_the_first_answer_after_later_changes(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let request = tea_once_for(&user_id);
    let placed = fixture.place(request.clone()).await.unwrap();
    let cancel = CancelOrderRequest {
        order_id: placed.order_id.clone(),
        reason: "too late".to_owned(),
        // The same id of another method is another call.
        request_id: request.request_id.clone(),
        ..CancelOrderRequest::default()
    };
    let cancelled = fixture.cancel_by(cancel.clone()).await.unwrap();

    assert_eq!(fixture.cancel_by(cancel).await.unwrap(), cancelled);
    assert_eq!(fixture.place(request).await.unwrap(), placed);
    assert_eq!(fixture.count_orders().await, 1);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_reused_id_is_refused_and_a_failed_call_may_be_repeated(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let request = tea_once_for(&user_id);
    let refused = fixture.place(request.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), "USER_UNKNOWN");

    let known = PlaceOrderRequest {
        user_id: fixture.known_user().await,
        ..request
    };
    fixture.place(known.clone()).await.unwrap();
    let mut other = known.clone();
    other.lines[0].quantity += 1;
    let refused = fixture.place(other).await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
    assert_eq!(violated_fields(&refused), ["request_id"]);

    let no_id = PlaceOrderRequest {
        request_id: "cart 42".to_owned(),
        ..known
    };
    let refused = fixture.place(no_id).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["request_id"]);
    assert_eq!(fixture.count_orders().await, 1);
    fixture.stop().await;
}
