//! Reading an order, and invalid ids.

use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::new_id;

#[rstest]
#[tokio::test]
async fn an_unknown_order_is_neither_found_nor_cancelled(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.placed_order().await;
    let unknown = new_id();
    for refused in [
        fixture.get(&unknown).await.unwrap_err(),
        fixture.cancel(&unknown, "no matter").await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::NotFound);
        assert_eq!(reason(&refused), "ORDER_NOT_FOUND");
        let details = refused.get_error_details();
        let resource = details.resource_info().unwrap();
        assert_eq!(resource.resource_type, "angarium.order.v1.Order");
        assert_eq!(resource.resource_name, unknown);
    }
    assert_eq!(fixture.outbox().await.len(), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let order_id = fixture.placed_order().await.order_id;
    for id in [
        "",
        "order-1",
        &order_id.to_uppercase(),
        &format!("{{{order_id}}}"),
        &order_id.replace('-', ""),
        "' OR 1=1 --",
    ] {
        for refused in [
            fixture.get(id).await.unwrap_err(),
            fixture.cancel(id, "").await.unwrap_err(),
        ] {
            assert_eq!(violated_fields(&refused), ["order_id"], "{id:?}");
            assert_eq!(reason(&refused), "VALIDATION_FAILED");
        }
    }
    fixture.stop().await;
}
