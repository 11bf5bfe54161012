//! Invalid orders: every invalid field is named, and nothing is written.

use contracts::order::v1::{OrderLine, PlaceOrderRequest};
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::{line, money, tea_for};

fn fine() -> OrderLine {
    line("CUP", 1, money("EUR", 1, 0))
}

/// Of the first violation.
fn description(refused: &Status) -> String {
    let details = refused.get_error_details();
    let violations = &details.bad_request().unwrap().field_violations;
    violations[0].description.clone()
}

#[rstest]
#[tokio::test]
async fn every_invalid_field_is_named_and_nothing_is_written(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let wrong = PlaceOrderRequest {
        user_id: "ada".to_owned(),
        lines: vec![
            line("", 1, money("EUR", 1, 0)),
            OrderLine {
                quantity: 0,
                unit_price: None,
                ..fine()
            },
            line(&"S".repeat(65), 10_001, money("eur", 1, 0)),
            line("CUP", -1, money("EUR", -1, 0)),
            line("CUP", i32::MIN, money("EUR", 0, -1)),
            line("CUP\u{7}", 1, money("EUR", 0, 1_000_000_000)),
            fine(),
            OrderLine::default(),
        ],
        ..PlaceOrderRequest::default()
    };
    let refused = fixture.place(wrong).await.unwrap_err();
    assert_eq!(reason(&refused), "VALIDATION_FAILED");
    // First the contract's rules, then the domain's.
    assert_eq!(
        violated_fields(&refused),
        [
            "user_id",
            "lines[0].sku",
            "lines[1].quantity",
            "lines[1].unit_price",
            "lines[2].sku",
            "lines[2].quantity",
            "lines[3].quantity",
            "lines[4].quantity",
            "lines[5].sku",
            "lines[7].sku",
            "lines[7].quantity",
            "lines[7].unit_price",
            "lines[2].unit_price",
            "lines[3].unit_price",
            "lines[4].unit_price",
            "lines[5].unit_price",
        ]
    );
    let empty = fixture
        .place(PlaceOrderRequest::default())
        .await
        .unwrap_err();
    assert_eq!(violated_fields(&empty), ["lines"]);

    assert_eq!(fixture.count_orders().await, 0);
    assert_eq!(fixture.outbox().await, []);
    fixture.stop().await;
}

/// PostgreSQL stores no NUL.
#[rstest]
#[tokio::test]
async fn a_zero_in_a_text_is_the_callers_mistake(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let request = PlaceOrderRequest {
        user_id: user_id.clone(),
        lines: vec![fine(), line("CUP\0", 1, money("EUR", 1, 0))],
        ..PlaceOrderRequest::default()
    };
    let refused = fixture.place(request).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["lines[1].sku"]);
    let order = fixture.place(tea_for(&user_id)).await.unwrap();
    let refused = fixture.cancel(&order.order_id, "be\0cause").await;
    assert_eq!(violated_fields(&refused.unwrap_err()), ["reason"]);
    fixture.stop().await;
}

#[tokio::test]
async fn too_many_lines_are_refused_with_all_other_violations() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let user_id = fixture.known_user().await;
    let mut request = PlaceOrderRequest {
        user_id,
        lines: vec![fine(); 101],
        ..PlaceOrderRequest::default()
    };
    let refused = fixture.place(request.clone()).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["lines"]);
    assert!(description(&refused).contains("100"), "{refused:?}");

    request.lines[100].quantity = 0;
    let refused = fixture.place(request.clone()).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["lines", "lines[100].quantity"]);

    // The answer still fits into the limits of clients.
    request.lines = vec![OrderLine::default(); 10_000];
    let refused = fixture.place(request).await.unwrap_err();
    assert_eq!(violated_fields(&refused)[..2], ["lines", "lines[0].sku"]);
    assert_eq!(fixture.count_orders().await, 0);
    fixture.stop().await;
}

#[tokio::test]
async fn lines_that_have_no_total_are_refused() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let user_id = fixture.known_user().await;
    let most = money("EUR", i64::MAX, 999_999_999);
    let mixed = vec![fine(), line("CUP", 1, money("USD", 1, 0))];
    let too_dear_by_one = vec![
        line("MOON", 1, most.clone()),
        line("CUP", 1, money("EUR", 0, 1)),
    ];
    let too_many_moons = vec![line("MOON", 10_000, most)];
    for (lines, because) in [
        (mixed, "same currency"),
        (too_dear_by_one, "add up"),
        (too_many_moons, "add up"),
    ] {
        let request = PlaceOrderRequest {
            user_id: user_id.clone(),
            lines,
            ..PlaceOrderRequest::default()
        };
        let refused = fixture.place(request).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["lines"]);
        assert_eq!(reason(&refused), "VALIDATION_FAILED");
        assert!(description(&refused).contains(because), "{refused:?}");
    }
    assert_eq!(fixture.count_orders().await, 0);
    assert_eq!(fixture.outbox().await, []);
    fixture.stop().await;
}
