//! Of concurrent changes of one order, one succeeds, and the others get the reason.

use contracts::order::v1::{ConfirmOrderRequest, Order, OrderState};
use futures::future::join_all;
use rstest::rstest;
use testkit::{StoreKind, reason};
use tonic::{Code, Status};

use crate::fixture::Fixture;

const MANY: usize = 50;

/// With the refusals of the others.
fn winner(answers: Vec<Result<Order, Status>>) -> (Order, Vec<Status>) {
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    let refused: Vec<Status> = refused.into_iter().map(Result::unwrap_err).collect();
    assert_eq!(done.len(), 1, "{refused:?}");
    (done.into_iter().next().unwrap().unwrap(), refused)
}

#[rstest]
#[tokio::test]
async fn of_fifty_who_confirm_at_once_exactly_one_does(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let calls = (0..MANY).map(|_| fixture.confirm(&order_id));
    let (confirmed, refused) = winner(join_all(calls).await);
    for refused in refused {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refused), "ORDER_ALREADY_CONFIRMED");
    }
    assert_eq!(fixture.get(&order_id).await.unwrap(), confirmed);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn of_fifty_changes_with_one_etag_exactly_one_wins(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let placed = fixture.placed_order().await;
    let confirming = ConfirmOrderRequest {
        order_id: placed.order_id.clone(),
        etag: placed.etag,
        ..ConfirmOrderRequest::default()
    };
    let calls = (0..MANY).map(|_| fixture.confirm_as(confirming.clone()));
    let (confirmed, refused) = winner(join_all(calls).await);
    for refused in refused {
        assert_eq!(refused.code(), Code::Aborted);
        assert_eq!(reason(&refused), "ETAG_MISMATCH");
    }
    assert_eq!(fixture.get(&placed.order_id).await.unwrap(), confirmed);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn where_some_ship_and_others_cancel_the_order_ends_one_way(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    fixture.confirm(&order_id).await.unwrap();
    let calls = (0..MANY).map(async |index| match index % 2 {
        0 => fixture.ship(&order_id).await,
        _ => fixture.cancel(&order_id, "").await,
    });
    let (ended, refused) = winner(join_all(calls).await);
    let because = match ended.state() {
        OrderState::Shipped => "ORDER_ALREADY_SHIPPED",
        _ => "ORDER_ALREADY_CANCELLED",
    };
    for refused in refused {
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(reason(&refused), because);
    }
    assert_eq!(fixture.get(&order_id).await.unwrap(), ended);
    assert_eq!(fixture.outbox().await.len(), 3);
    fixture.stop().await;
}
