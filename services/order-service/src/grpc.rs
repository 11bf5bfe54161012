//! `angarium.order.v1.OrderService`: reads a request, calls a command, writes the answer.

use std::pin::Pin;

use contracts::Validate as _;
use contracts::order::v1::order_service_server::OrderService;
use contracts::order::v1::{
    CancelOrderRequest, CancelOrderResponse, ConfirmOrderRequest, ConfirmOrderResponse,
    GetOrderRequest, GetOrderResponse, GetUserViewRequest, GetUserViewResponse, ListOrdersRequest,
    ListOrdersResponse, PlaceOrderRequest, PlaceOrderResponse, ShipOrderRequest, ShipOrderResponse,
    WatchOrderRequest, WatchOrderResponse,
};
use futures::{Stream, StreamExt as _};
use messaging::{Cause, Store};
use runtime::auth::{Caller, caller};
use runtime::grpc::{client_deadline, correlation_id};
use runtime::idempotency::Call;
use runtime::status::Violations;
use runtime::{ClientAddress, Page, PageTokens};
use service::time;
use tonic::{Request, Response, Status};

use crate::commands::{Commands, Target};
use crate::convert;
use crate::error::Error;
use crate::order::Change;
use crate::store::listing::{self, Filter};
use crate::store::{self, known_user, users};
use crate::watch::Watchers;

mod lines;

pub struct Orders {
    store: Store,
    commands: Commands,
    watchers: Watchers,
    tokens: PageTokens,
}

impl Orders {
    pub fn new(store: Store, commands: Commands, watchers: Watchers, tokens: PageTokens) -> Self {
        Self {
            store,
            commands,
            watchers,
            tokens,
        }
    }
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<PlaceOrderResponse>, Status> {
        let (cause, caller) = (cause(&request), caller(&request)?);
        let request = request.into_inner();
        permit(caller, &request.user_id)?;
        let mut violations = Violations::of(request.violations());
        let call = call(
            caller,
            "PlaceOrder",
            &request,
            &request.request_id,
            &mut violations,
        );
        let user_id = match request.user_id.as_str() {
            "" => caller.user_id,
            named => violations.uuid("user_id", named),
        };
        let lines = lines::parse(request.lines, &mut violations);
        let Some(lines) = lines.filter(|_| violations.is_empty()) else {
            return Err(violations.into_status());
        };

        let order = self
            .commands
            .place_order(user_id, lines, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(PlaceOrderResponse { order: Some(order) }))
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        let owner = caller(&request)?.owner();
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let order_id = violations.uuid("order_id", &request.order_id);
        violations.into_result()?;

        let order = store::find_order(self.store.connection(), order_id, owner)
            .await
            .map_err(Error::from)?
            .ok_or(Error::no_order(order_id, owner))?;
        Ok(Response::new(GetOrderResponse {
            order: Some(convert::order(&order)),
        }))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        permit(caller, &request.user_id)?;
        let mut violations = Violations::of(request.violations());
        let user_id = match request.user_id.as_str() {
            "" => caller.owner(),
            named => Some(violations.uuid("user_id", named)),
        };
        let filter = Filter {
            state: convert::state_of(request.state()),
            user_id,
        };
        let page = Page::read(
            request.page_size,
            &request.page_token,
            format!(
                "ListOrders state={} user_id={}",
                request.state,
                user_id.unwrap_or_default()
            ),
            &self.tokens,
            &mut violations,
        );
        violations.into_result()?;

        let listed = listing::page(self.store.connection(), filter, &page).await;
        let (orders, has_more) = listed.map_err(Error::from)?;
        let next_page_token = match orders.last() {
            Some(last) if has_more => page.after(last.id, &self.tokens),
            _ => String::new(),
        };
        Ok(Response::new(ListOrdersResponse {
            orders: orders.iter().map(convert::order).collect(),
            next_page_token,
        }))
    }

    async fn confirm_order(
        &self,
        request: Request<ConfirmOrderRequest>,
    ) -> Result<Response<ConfirmOrderResponse>, Status> {
        let (cause, caller) = (cause(&request), caller(&request)?);
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let call = call(
            caller,
            "ConfirmOrder",
            &request,
            &request.request_id,
            &mut violations,
        );
        let target = target(caller, &request.order_id, request.etag, &mut violations);
        violations.into_result()?;

        let order = self
            .commands
            .change_order(target, Change::Confirm, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(ConfirmOrderResponse { order: Some(order) }))
    }

    async fn ship_order(
        &self,
        request: Request<ShipOrderRequest>,
    ) -> Result<Response<ShipOrderResponse>, Status> {
        let (cause, caller) = (cause(&request), caller(&request)?);
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let call = call(
            caller,
            "ShipOrder",
            &request,
            &request.request_id,
            &mut violations,
        );
        let target = target(caller, &request.order_id, request.etag, &mut violations);
        violations.into_result()?;

        let change = Change::Ship {
            carrier: request.carrier,
            tracking_number: request.tracking_number,
        };
        let order = self
            .commands
            .change_order(target, change, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(ShipOrderResponse { order: Some(order) }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let (cause, caller) = (cause(&request), caller(&request)?);
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let call = call(
            caller,
            "CancelOrder",
            &request,
            &request.request_id,
            &mut violations,
        );
        let target = target(caller, &request.order_id, request.etag, &mut violations);
        violations.into_result()?;

        let change = Change::Cancel {
            reason: request.reason,
        };
        let order = self
            .commands
            .change_order(target, change, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(CancelOrderResponse { order: Some(order) }))
    }

    type WatchOrderStream =
        Pin<Box<dyn Stream<Item = Result<WatchOrderResponse, Status>> + Send + 'static>>;

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let (deadline, caller) = (client_deadline(&request), caller(&request)?);
        let address = ClientAddress::of(&request);
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let order_id = violations.uuid("order_id", &request.order_id);
        violations.into_result()?;

        let orders = self
            .watchers
            .watch(order_id, caller, address, deadline)
            .await?;
        let answers = orders.map(|order| {
            Ok(WatchOrderResponse {
                order: Some(convert::order(&order?)),
            })
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn get_user_view(
        &self,
        request: Request<GetUserViewRequest>,
    ) -> Result<Response<GetUserViewResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let user_id = violations.uuid("user_id", &request.user_id);
        violations.into_result()?;

        let db = self.store.connection();
        // Before the user: the user's data is at least as current as the latest event.
        let latest = users::latest_user(db).await.map_err(Error::from)?;
        let user = users::find_user(db, user_id).await.map_err(Error::from)?;
        let time =
            |at_ms: fn(&known_user::Model) -> i64| latest.as_ref().map(at_ms).map(time::timestamp);
        Ok(Response::new(GetUserViewResponse {
            user_view: Some(convert::user_view(user_id, user.as_ref())),
            latest_event_time: time(|user| user.event_at_ms),
            latest_handle_time: time(|user| user.handled_at_ms),
        }))
    }
}

fn cause<T>(request: &Request<T>) -> Cause {
    Cause::call(correlation_id(request))
}

fn call<M: prost::Message>(
    caller: Caller,
    method: &'static str,
    request: &M,
    request_id: &str,
    violations: &mut Violations,
) -> Option<Call> {
    let caller = caller.user_id.to_string();
    Call::read(
        &caller,
        method,
        request_id,
        &request.encode_to_vec(),
        violations,
    )
}

/// Empty means the caller.
fn permit(caller: Caller, user_id: &str) -> Result<(), Status> {
    if user_id.is_empty() {
        return Ok(());
    }
    caller.may_name(user_id)
}

fn target(caller: Caller, order_id: &str, etag: String, violations: &mut Violations) -> Target {
    Target {
        order_id: violations.uuid("order_id", order_id),
        owner: caller.owner(),
        etag,
    }
}
