//! Watching: the current order, then each change once and in order, until the final state.

use std::time::Duration;

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{Order, OrderState, WatchOrderRequest, WatchOrderResponse};
use order_service::config::OrderConfig;
use rstest::rstest;
use testkit::{StoreKind, authorized, eventually, reason, violated_fields};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::{new_id, parcel_of};

const PATIENCE: Duration = Duration::from_secs(30);

type Answers = Streaming<WatchOrderResponse>;

async fn watch(fixture: &Fixture, order_id: &str) -> Result<Answers, Status> {
    watch_at(fixture, fixture.channel(), order_id).await
}

async fn watch_at(fixture: &Fixture, channel: Channel, order_id: &str) -> Result<Answers, Status> {
    let mut request = fixture.by_admin(WatchOrderRequest {
        order_id: order_id.to_owned(),
    });
    // A missing message is an error, not a hanging test.
    request.set_timeout(PATIENCE);
    let answer = OrderServiceClient::new(channel)
        .watch_order(request)
        .await?;
    Ok(answer.into_inner())
}

async fn next(answers: &mut Answers) -> Order {
    let answer = answers.message().await.unwrap();
    answer.expect("a further state").order.unwrap()
}

async fn assert_ended(answers: &mut Answers) {
    assert_eq!(answers.message().await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn a_watcher_gets_the_current_order_each_change_and_the_end(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let placed = fixture.placed_order().await;
    let mut first = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut first).await, placed);
    let confirmed = fixture.confirm(&placed.order_id).await.unwrap();
    assert_eq!(next(&mut first).await, confirmed);

    let mut second = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut second).await, confirmed);
    let shipped = fixture.ship(&placed.order_id).await.unwrap();
    for watcher in [&mut first, &mut second] {
        assert_eq!(next(watcher).await, shipped);
        assert_ended(watcher).await;
    }

    let mut late = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut late).await, shipped);
    assert_ended(&mut late).await;
    fixture.stop().await;
}

/// All changes have happened by the time the watcher reads.
#[rstest]
#[tokio::test]
async fn a_slow_watcher_sees_every_state_once_and_in_order(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let placed = fixture.placed_order().await;
    let mut watchers = Vec::new();
    for _ in 0..20 {
        watchers.push(watch(&fixture, &placed.order_id).await.unwrap());
    }
    let confirmed = fixture.confirm(&placed.order_id).await.unwrap();
    let cancelled = fixture.cancel(&placed.order_id, "too late").await.unwrap();
    for mut watcher in watchers {
        for expected in [&placed, &confirmed, &cancelled] {
            assert_eq!(next(&mut watcher).await, *expected);
        }
        assert_ended(&mut watcher).await;
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_change_that_another_replica_makes_is_seen(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let other = fixture.replica().await;
    let placed = fixture.placed_order().await;
    let mut watcher = watch_at(&fixture, other.channel(), &placed.order_id)
        .await
        .unwrap();
    assert_eq!(next(&mut watcher).await, placed);
    let confirmed = fixture.confirm(&placed.order_id).await.unwrap();
    assert_eq!(next(&mut watcher).await, confirmed);
    let shipped = fixture.ship(&placed.order_id).await.unwrap();
    assert_eq!(next(&mut watcher).await, shipped);
    assert_ended(&mut watcher).await;
    other.stop().await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn without_a_broker_watchers_see_what_happens(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::with_lost_broker(store).await;
    let user_id = fixture.known_here().await;
    let placed = fixture
        .place(crate::samples::tea_for(&user_id))
        .await
        .unwrap();
    let mut watcher = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut watcher).await, placed);
    let cancelled = fixture.cancel(&placed.order_id, "").await.unwrap();
    assert_eq!(next(&mut watcher).await, cancelled);
    assert_ended(&mut watcher).await;
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn watching_ends_when_the_server_does_and_goes_on_at_another(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let other = fixture.replica().await;
    let placed = fixture.placed_order().await;
    let mut watcher = watch_at(&fixture, other.channel(), &placed.order_id)
        .await
        .unwrap();
    assert_eq!(next(&mut watcher).await, placed);
    other.stop().await;
    let ended = watcher.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::Unavailable);
    assert_eq!(reason(&ended), "SHUTTING_DOWN");

    let mut watcher = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut watcher).await, placed);
    fixture.stop().await;
}

#[tokio::test]
async fn watching_ends_at_the_clients_deadline_and_frees_its_place() {
    let fixture = Fixture::with_orders(StoreKind::Sqlite, one_watcher()).await;
    let placed = fixture.placed_order().await;
    let mut request = fixture.by_admin(WatchOrderRequest {
        order_id: placed.order_id.clone(),
    });
    // Without a timer of the client, the server's must end the stream.
    let metadata = request.metadata_mut();
    metadata.insert("grpc-timeout", "300m".parse().unwrap());
    let answer = OrderServiceClient::new(fixture.channel())
        .watch_order(request)
        .await;
    let mut watcher = answer.unwrap().into_inner();
    assert_eq!(next(&mut watcher).await, placed);
    let ended = watcher.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::DeadlineExceeded, "{ended:?}");
    assert_eq!(reason(&ended), "DEADLINE_EXCEEDED");
    watch(&fixture, &placed.order_id).await.unwrap();
    fixture.stop().await;
}

#[tokio::test]
async fn no_more_watch_than_there_are_places_and_who_goes_makes_room() {
    let fixture = Fixture::with_orders(StoreKind::Sqlite, one_watcher()).await;
    let placed = fixture.placed_order().await;
    let mut watcher = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut watcher).await, placed);
    let owner = placed.user_id.parse().unwrap();
    let request = WatchOrderRequest {
        order_id: placed.order_id.clone(),
    };
    let request = authorized(&fixture.tokens.user(owner), request);
    let refused = OrderServiceClient::new(fixture.channel())
        .watch_order(request)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "TOO_MANY_WATCHERS");

    drop(watcher);
    let again = eventually("there is room again", async || {
        watch(&fixture, &placed.order_id).await
    });
    assert_eq!(next(&mut again.await).await, placed);
    fixture.stop().await;
}

#[tokio::test]
async fn a_caller_at_the_limit_is_refused_and_others_are_not() {
    let few = OrderConfig {
        max_watchers_per_caller: 2,
        ..OrderConfig::default()
    };
    let fixture = Fixture::with_orders(StoreKind::Sqlite, few).await;
    let placed = fixture.placed_order().await;
    let user_id = placed.user_id.clone();
    let by_user = async || {
        let request = WatchOrderRequest {
            order_id: placed.order_id.clone(),
        };
        let token = fixture.tokens.user(user_id.parse().unwrap());
        let request = authorized(&token, request);
        let answer = OrderServiceClient::new(fixture.channel())
            .watch_order(request)
            .await?;
        Ok::<Answers, Status>(answer.into_inner())
    };
    let mut held = [by_user().await.unwrap(), by_user().await.unwrap()];
    for watcher in &mut held {
        assert_eq!(next(watcher).await, placed);
    }
    let refused = by_user().await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "TOO_MANY_WATCHERS_OF_CALLER");
    let details = refused.get_error_details();
    let violation = &details.quota_failure().unwrap().violations[0];
    assert_eq!(violation.subject, format!("user:{user_id}"));
    assert_eq!(violation.description, "at most 2 watched orders at a time");
    assert!(details.retry_info().unwrap().retry_delay > Some(Duration::ZERO));

    let mut other = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut other).await, placed);
    drop(held);
    eventually("there is room again", async || by_user().await).await;
    fixture.stop().await;
}

async fn watch_with(fixture: &Fixture, token: &str, order_id: &str) -> Result<Answers, Status> {
    let request = WatchOrderRequest {
        order_id: order_id.to_owned(),
    };
    let answer = OrderServiceClient::new(fixture.channel())
        .watch_order(authorized(token, request))
        .await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn many_accounts_at_one_address_watch_its_share_only() {
    let few = OrderConfig {
        max_watchers: 16,
        max_watchers_per_address: Some(3),
        ..OrderConfig::default()
    };
    let fixture = Fixture::with_orders(StoreKind::Sqlite, few).await;
    let placed = fixture.placed_order().await;
    let mut held = Vec::new();
    let refused = loop {
        // Each time another account.
        match watch_with(&fixture, &fixture.tokens.admin(), &placed.order_id).await {
            Ok(watcher) => held.push(watcher),
            Err(refused) => break refused,
        }
    };
    assert_eq!(held.len(), 3);
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(&refused), "TOO_MANY_WATCHERS_OF_CALLER");
    let details = refused.get_error_details();
    let violation = &details.quota_failure().unwrap().violations[0];
    assert_eq!(violation.subject, "address:127.0.0.1");
    fixture.stop().await;
}

#[tokio::test]
async fn an_unverified_address_watches_nothing() {
    let fixture = Fixture::with_orders(StoreKind::Sqlite, one_watcher()).await;
    let placed = fixture.placed_order().await;
    let user_id = placed.user_id.parse().unwrap();
    let unverified = fixture.tokens.unverified(user_id);
    let refused = watch_with(&fixture, &unverified, &placed.order_id).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused), "EMAIL_NOT_VERIFIED");
    // It takes no slot.
    let verified = fixture.tokens.user(user_id);
    let mut watcher = watch_with(&fixture, &verified, &placed.order_id)
        .await
        .unwrap();
    assert_eq!(next(&mut watcher).await, placed);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_watched_and_takes_no_place() {
    let fixture = Fixture::with_orders(StoreKind::Sqlite, one_watcher()).await;
    let refused = watch(&fixture, "order-1").await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["order_id"]);
    for _ in 0..3 {
        let refused = watch(&fixture, &new_id()).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        assert_eq!(reason(&refused), "ORDER_NOT_FOUND");
    }
    let placed = fixture.placed_order().await;
    let mut watcher = watch(&fixture, &placed.order_id).await.unwrap();
    assert_eq!(next(&mut watcher).await.state(), OrderState::Placed);
    fixture
        .ship_as(parcel_of(&placed.order_id))
        .await
        .unwrap_err();
    fixture.stop().await;
}

fn one_watcher() -> OrderConfig {
    OrderConfig {
        max_watchers: 1,
        max_watchers_per_address: None,
        max_watchers_per_caller: 1,
        confirmation_time: Duration::from_secs(3600),
    }
}
