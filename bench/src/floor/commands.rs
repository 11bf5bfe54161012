//! PlaceOrder as one statement; every other call is unimplemented.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use contracts::money::Money;
use contracts::order::v1::order_service_server::{OrderService, OrderServiceServer};
use contracts::order::v1::{
    CancelOrderRequest, CancelOrderResponse, ConfirmOrderRequest, ConfirmOrderResponse,
    GetOrderRequest, GetOrderResponse, GetUserViewRequest, GetUserViewResponse, ListOrdersRequest,
    ListOrdersResponse, Order, OrderPlaced, PlaceOrderRequest, PlaceOrderResponse,
    ShipOrderRequest, ShipOrderResponse, WatchOrderRequest, WatchOrderResponse,
};
use futures::stream::Empty;
use prost::Message as _;
use sea_orm::sqlx::{self, PgPool};
use tokio::sync::Notify;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Order, lines and event in one round trip and one commit.
const PLACE: &str = "
WITH placed AS (
    INSERT INTO orders (order_id, user_id, state, currency, total_units, version)
    VALUES ($1, $2, 'placed', 'EUR', $3, 1)),
lines AS (
    INSERT INTO order_line (order_id, position, sku, quantity, price_units)
    SELECT $1, position, sku, quantity, price
    FROM unnest($4::text[], $5::integer[], $6::bigint[]) WITH ORDINALITY AS line (sku, quantity, price, position))
INSERT INTO outbox (event_id, aggregate_id, version, payload, correlation_id) VALUES ($7, $1, 1, $8, $9)";

const USER: &str = "019aa5b2-6f3e-7c41-9a53-0d4c8a4f2b11";

struct Orders {
    pool: PgPool,
    woken: Arc<Notify>,
}

pub(crate) async fn serve(listen: SocketAddr, pool: PgPool, woken: Arc<Notify>) -> Result<()> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let orders = OrderServiceServer::new(Orders { pool, woken });
    let mut server = Server::builder().tcp_nodelay(true);
    let routes = server.add_service(health).add_service(orders);
    routes.serve(listen).await?;
    Ok(())
}

impl Orders {
    async fn place(&self, event: &OrderPlaced, correlation_id: &str) -> Result<()> {
        let order_id: Uuid = event.order_id.parse()?;
        let lines = &event.lines;
        let skus: Vec<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
        let quantities: Vec<i32> = lines.iter().map(|line| line.quantity).collect();
        let prices: Vec<i64> = lines
            .iter()
            .map(|line| units(line.unit_price.as_ref()))
            .collect();
        sqlx::query(PLACE)
            .bind(order_id)
            .bind(&event.user_id)
            .bind(units(event.total_price.as_ref()))
            .bind(skus)
            .bind(quantities)
            .bind(prices)
            .bind(Uuid::now_v7())
            .bind(event.encode_to_vec())
            .bind(correlation_id)
            .execute(&self.pool)
            .await?;
        self.woken.notify_one();
        Ok(())
    }
}

fn units(money: Option<&Money>) -> i64 {
    money.map_or(0, |money| money.units)
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<PlaceOrderResponse>, Status> {
        let correlation = request.metadata().get("x-correlation-id");
        let correlation = correlation.and_then(|value| value.to_str().ok());
        let correlation = correlation.unwrap_or_default().to_owned();
        let lines = request.into_inner().lines;
        let total = lines
            .iter()
            .map(|line| units(line.unit_price.as_ref()) * i64::from(line.quantity))
            .sum();
        let event = OrderPlaced {
            order_id: Uuid::now_v7().to_string(),
            user_id: USER.to_owned(),
            lines,
            total_price: Some(Money {
                currency_code: "EUR".to_owned(),
                units: total,
                nanos: 0,
            }),
            create_time: None,
        };
        let placed = self.place(&event, &correlation).await;
        placed.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(Response::new(PlaceOrderResponse {
            order: Some(Order {
                order_id: event.order_id,
                user_id: event.user_id,
                lines: event.lines,
                total_price: event.total_price,
                ..Order::default()
            }),
        }))
    }

    type WatchOrderStream = Empty<Result<WatchOrderResponse, Status>>;

    async fn watch_order(
        &self,
        _: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        Err(only_place_order())
    }

    async fn get_order(
        &self,
        _: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        Err(only_place_order())
    }

    async fn list_orders(
        &self,
        _: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        Err(only_place_order())
    }

    async fn confirm_order(
        &self,
        _: Request<ConfirmOrderRequest>,
    ) -> Result<Response<ConfirmOrderResponse>, Status> {
        Err(only_place_order())
    }

    async fn ship_order(
        &self,
        _: Request<ShipOrderRequest>,
    ) -> Result<Response<ShipOrderResponse>, Status> {
        Err(only_place_order())
    }

    async fn cancel_order(
        &self,
        _: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        Err(only_place_order())
    }

    async fn get_user_view(
        &self,
        _: Request<GetUserViewRequest>,
    ) -> Result<Response<GetUserViewResponse>, Status> {
        Err(only_place_order())
    }
}

fn only_place_order() -> Status {
    Status::unimplemented("the bare floor only implements PlaceOrder")
}
