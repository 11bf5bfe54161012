//! Owners act on their own orders, admins on all; others do not learn whether an order exists.

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{
    CancelOrderRequest, ConfirmOrderRequest, GetOrderRequest, GetUserViewRequest, Order,
    OrderState, PlaceOrderRequest, WatchOrderRequest,
};
use rstest::rstest;
use testkit::{StoreKind, Tokens, authorized, reason};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::fixture::Fixture;
use crate::samples::{new_id, parcel_of, tea_for};

struct Caller {
    client: OrderServiceClient<Channel>,
    token: String,
}

impl Caller {
    fn with(fixture: &Fixture, token: String) -> Self {
        Self {
            client: OrderServiceClient::new(fixture.channel()),
            token,
        }
    }

    fn user(fixture: &Fixture, user_id: &str) -> Self {
        let user_id = Uuid::parse_str(user_id).unwrap();
        Self::with(fixture, fixture.tokens.user(user_id))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        authorized(&self.token, message)
    }

    async fn place(&self, message: PlaceOrderRequest) -> Result<Order, Status> {
        let request = self.request(message);
        let answer = self.client.clone().place_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    async fn cancel(&self, order_id: &str) -> Result<Order, Status> {
        let request = self.request(CancelOrderRequest {
            order_id: order_id.to_owned(),
            ..CancelOrderRequest::default()
        });
        let answer = self.client.clone().cancel_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    /// From each method that names an order and is not only for admins.
    async fn about(&self, order_id: &str) -> [Result<(), Status>; 3] {
        let order_id = || order_id.to_owned();
        let mut client = self.client.clone();
        let get = self.request(GetOrderRequest {
            order_id: order_id(),
        });
        let get = client.get_order(get).await;
        let watch = self.request(WatchOrderRequest {
            order_id: order_id(),
        });
        let watch = client.watch_order(watch).await;
        [
            get.map(drop),
            watch.map(drop),
            self.cancel(&order_id()).await.map(drop),
        ]
    }

    /// From each method for admins.
    async fn as_admin(&self, order_id: &str, user_id: &str) -> [Result<(), Status>; 3] {
        let mut client = self.client.clone();
        let confirm = self.request(ConfirmOrderRequest {
            order_id: order_id.to_owned(),
            ..ConfirmOrderRequest::default()
        });
        let confirm = client.confirm_order(confirm).await;
        let ship = client.ship_order(self.request(parcel_of(order_id))).await;
        let view = self.request(GetUserViewRequest {
            user_id: user_id.to_owned(),
        });
        let view = client.get_user_view(view).await;
        [confirm.map(drop), ship.map(drop), view.map(drop)]
    }
}

fn assert_denied(answers: impl IntoIterator<Item = Result<(), Status>>) {
    for answer in answers {
        let denied = answer.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied, "{denied:?}");
        assert_eq!(reason(&denied), "PERMISSION_DENIED");
        assert_eq!(denied.message(), "permission denied, or it does not exist");
    }
}

#[rstest]
#[tokio::test]
async fn users_place_read_watch_and_cancel_their_own_orders(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let user = Caller::user(&fixture, &user_id);
    for named in ["", user_id.as_str()] {
        let order = user.place(tea_for(named)).await.unwrap();
        assert_eq!(order.user_id, user_id);
        for answer in user.about(&order.order_id).await {
            answer.unwrap();
        }
        let cancelled = fixture.get(&order.order_id).await.unwrap();
        assert_eq!(cancelled.state(), OrderState::Cancelled);
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_user_cannot_learn_whether_anothers_order_exists(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order = fixture.placed_order().await;
    let other = Caller::user(&fixture, &fixture.known_user().await);
    assert_denied(other.about(&order.order_id).await);
    assert_denied(other.about(&new_id()).await);
    assert_eq!(fixture.get(&order.order_id).await.unwrap(), order);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_user_cannot_place_an_order_for_another_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let [user_id, other_id] = [fixture.known_user().await, fixture.known_user().await];
    let user = Caller::user(&fixture, &user_id);
    let nonsense = PlaceOrderRequest {
        lines: Vec::new(),
        ..tea_for(&other_id)
    };
    for wrong in [tea_for(&other_id), tea_for(&new_id()), nonsense] {
        assert_denied([user.place(wrong).await.map(drop)]);
    }
    assert_eq!(fixture.count_orders().await, 0);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn only_an_admin_confirms_ships_and_sees_what_is_known_of_users(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let order = fixture.placed_order().await;
    let owner = Caller::user(&fixture, &order.user_id);
    assert_denied(owner.as_admin(&order.order_id, &order.user_id).await);
    assert_eq!(fixture.get(&order.order_id).await.unwrap(), order);

    let admin = Caller::with(&fixture, fixture.tokens.admin());
    for answer in admin.as_admin(&order.order_id, &order.user_id).await {
        answer.unwrap();
    }
    fixture.stop().await;
}

/// A client that gets `UNAUTHENTICATED` would log its user out.
#[tokio::test]
async fn a_token_of_a_key_that_is_not_known_yet_is_worth_a_retry() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let order = fixture.placed_order().await;
    let owner = Uuid::parse_str(&order.user_id).unwrap();
    let late = Tokens::unknown();
    let caller = Caller::with(&fixture, late.user(owner));
    for answer in caller.about(&order.order_id).await {
        let refused = answer.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert_eq!(reason(&refused), "KEY_UNKNOWN");
    }
    late.make_known(&fixture.db).await;
    let answer = testkit::eventually("the key is known", async || {
        let [first, ..] = caller.about(&order.order_id).await;
        first
    });
    answer.await;
    fixture.stop().await;
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_said_at_all() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let order = fixture.placed_order().await;
    let owner = Uuid::parse_str(&order.user_id).unwrap();
    for (token, because) in [
        (String::new(), "UNAUTHENTICATED"),
        (Tokens::unknown().older(owner), "UNAUTHENTICATED"),
        (fixture.tokens.expired(owner), "TOKEN_EXPIRED"),
    ] {
        let anonymous = Caller::with(&fixture, token);
        let mut answers = Vec::from(anonymous.about(&order.order_id).await);
        answers.extend(anonymous.as_admin(&order.order_id, &order.user_id).await);
        answers.push(anonymous.place(tea_for("")).await.map(drop));
        for answer in answers {
            let refused = answer.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
            assert_eq!(reason(&refused), because);
        }
    }
    assert_eq!(fixture.get(&order.order_id).await.unwrap(), order);
    fixture.stop().await;
}
