//! The calls of the order service, as an admin makes them, and the user and order that a test begins with.

use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{
    CancelOrderRequest, ConfirmOrderRequest, GetOrderRequest, GetUserViewRequest,
    GetUserViewResponse, Order, PlaceOrderRequest, ShipOrderRequest,
};
use testbench::correlated;
use tonic::Status;
use tonic::transport::Channel;

use crate::fixture::Fixture;
use crate::samples::{cancelling, created, new_id, parcel_of, tea_for};

impl Fixture {
    pub(crate) fn client(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel())
    }

    pub(crate) async fn place(&self, request: PlaceOrderRequest) -> Result<Order, Status> {
        let answer = self.client().place_order(self.by_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn get(&self, order_id: &str) -> Result<Order, Status> {
        let order_id = order_id.to_owned();
        let request = self.by_admin(GetOrderRequest { order_id });
        let answer = self.client().get_order(request).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn cancel(&self, order_id: &str, reason: &str) -> Result<Order, Status> {
        self.cancel_by(cancelling(order_id, reason)).await
    }

    pub(crate) async fn cancel_by(&self, request: CancelOrderRequest) -> Result<Order, Status> {
        let answer = self.client().cancel_order(self.by_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn confirm(&self, order_id: &str) -> Result<Order, Status> {
        let request = ConfirmOrderRequest {
            order_id: order_id.to_owned(),
            ..ConfirmOrderRequest::default()
        };
        self.confirm_as(request).await
    }

    pub(crate) async fn confirm_as(&self, request: ConfirmOrderRequest) -> Result<Order, Status> {
        let answer = self.client().confirm_order(self.by_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn ship(&self, order_id: &str) -> Result<Order, Status> {
        self.ship_as(parcel_of(order_id)).await
    }

    pub(crate) async fn ship_as(&self, request: ShipOrderRequest) -> Result<Order, Status> {
        let answer = self.client().ship_order(self.by_admin(request)).await?;
        Ok(answer.into_inner().order.unwrap())
    }

    pub(crate) async fn user_view(&self, user_id: &str) -> Result<GetUserViewResponse, Status> {
        let user_id = user_id.to_owned();
        let request = GetUserViewRequest { user_id };
        let answer = self.client().get_user_view(self.by_admin(request)).await?;
        Ok(answer.into_inner())
    }

    /// As [`place`](Self::place) and [`cancel`](Self::cancel), with these correlation ids.
    pub(crate) async fn place_and_cancel_as(
        &self,
        [first, second]: [&str; 2],
        request: PlaceOrderRequest,
        reason: &str,
    ) -> (Order, Order) {
        let placing = correlated(first, self.by_admin(request));
        let placed = self.client().place_order(placing).await.unwrap();
        let placed = placed.into_inner().order.unwrap();
        let request = cancelling(&placed.order_id, reason);
        let cancelling = correlated(second, self.by_admin(request));
        let cancelled = self.client().cancel_order(cancelling).await.unwrap();
        (placed, cancelled.into_inner().order.unwrap())
    }

    /// A user who can order, known from an event.
    pub(crate) async fn known_user(&self) -> String {
        let user_id = new_id();
        self.send(&created(&user_id, 1)).await;
        self.knows(&user_id).await;
        user_id
    }

    /// An order of a new user.
    pub(crate) async fn placed_order(&self) -> Order {
        let user_id = self.known_user().await;
        self.place(tea_for(&user_id)).await.unwrap()
    }
}
