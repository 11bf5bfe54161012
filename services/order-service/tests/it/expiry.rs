//! An unconfirmed order is cancelled at its expiry time, by a timer that survives the process.

use std::time::Duration;

use contracts::order::v1::{ExpiryElapsed, OrderCancelled, OrderState};
use order_service::config::OrderConfig;
use rstest::rstest;
use testkit::{StoreKind, eventually_is, message};

use crate::fixture::Fixture;
use crate::samples::new_id;

/// They expire immediately, but later than they are placed.
fn impatient() -> OrderConfig {
    OrderConfig {
        confirmation_time: Duration::from_millis(1),
        ..OrderConfig::default()
    }
}

#[rstest]
#[tokio::test]
async fn an_unconfirmed_order_is_cancelled_with_a_reason(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::with_orders(store, impatient()).await;
    let placed = fixture.placed_order().await;
    eventually_is("it is cancelled", OrderState::Cancelled, async || {
        fixture.get(&placed.order_id).await.unwrap().state()
    })
    .await;
    let cancelled = fixture.get(&placed.order_id).await.unwrap();
    assert_eq!(
        cancelled.cancellation_reason,
        "it was not confirmed in time"
    );
    assert_eq!(cancelled.expire_time, None);

    let outbox = fixture.outbox().await;
    assert_eq!(outbox.len(), 2, "{outbox:?}");
    let event = outbox[1].decode::<OrderCancelled>();
    assert_eq!(event.reason, cancelled.cancellation_reason);
    assert_eq!(event.cancel_time, cancelled.cancel_time);
    // The cancellation belongs to the call that placed the order.
    assert_eq!(outbox[1].correlation_id, outbox[0].correlation_id);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_orders_time_is_shown_until_it_is_confirmed(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let placed = fixture.placed_order().await;
    let (from, until) = (placed.create_time.unwrap(), placed.expire_time.unwrap());
    assert_eq!(until.seconds - from.seconds, 24 * 3600);
    let confirmed = fixture.confirm(&placed.order_id).await.unwrap();
    assert_eq!(confirmed.expire_time, None);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_confirmed_or_cancelled_order_has_no_timer_any_more(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let [confirmed, cancelled] = [fixture.placed_order().await, fixture.placed_order().await];
    assert_eq!(fixture.timers().await, 2);
    fixture.confirm(&confirmed.order_id).await.unwrap();
    assert_eq!(fixture.timers().await, 1);
    fixture.cancel(&cancelled.order_id, "").await.unwrap();
    assert_eq!(fixture.timers().await, 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_timer_that_comes_after_the_confirmation_changes_nothing(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order_id = fixture.placed_order().await.order_id;
    let confirmed = fixture.confirm(&order_id).await.unwrap();
    let elapsed = ExpiryElapsed {
        order_id: order_id.clone(),
    };
    let elapsed = message(&elapsed, 1);
    fixture.send(&elapsed).await;
    fixture.becomes(&elapsed, "done").await;
    assert_eq!(fixture.get(&order_id).await.unwrap(), confirmed);
    assert_eq!(fixture.outbox().await.len(), 2);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_timer_without_an_order_is_dead_with_its_cause(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let elapsed = ExpiryElapsed { order_id: new_id() };
    let elapsed = message(&elapsed, 1);
    fixture.send(&elapsed).await;
    fixture.becomes(&elapsed, "dead").await;
    let (_, cause) = fixture.inbox(&elapsed).await.unwrap();
    assert!(cause.unwrap().contains("there is no order"));
    fixture.stop().await;
}
