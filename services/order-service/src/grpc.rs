//! `angarium.order.v1.OrderService`: reads a request, calls a command, writes the answer.

use contracts::Validate as _;
use contracts::order::v1::order_service_server::OrderService;
use contracts::order::v1::{
    CancelOrderRequest, CancelOrderResponse, GetOrderRequest, GetOrderResponse, OrderLine,
    PlaceOrderRequest, PlaceOrderResponse,
};
use messaging::Cause;
use prost::Message as _;
use runtime::grpc::correlation_id;
use runtime::idempotency::Call;
use runtime::status::Violations;
use tonic::{Request, Response, Status};

use crate::commands::Commands;
use crate::convert;
use crate::money::Money;
use crate::order::{Line, Lines};

/// The caller of what needs no caller.
const ANYBODY: &str = "";

pub struct Orders {
    commands: Commands,
}

impl Orders {
    pub fn new(commands: Commands) -> Self {
        Self { commands }
    }
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<PlaceOrderResponse>, Status> {
        let cause = Cause {
            correlation_id: correlation_id(&request),
        };
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let call = Call::read(
            ANYBODY,
            "PlaceOrder",
            &request.request_id,
            &request.encode_to_vec(),
            &mut violations,
        );
        let PlaceOrderRequest { user_id, lines, .. } = request;
        let user_id = violations.uuid("user_id", &user_id);
        let lines = parse_lines(lines, &mut violations);
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
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let order_id = violations.uuid("order_id", &request.order_id);
        violations.into_result()?;

        let order = self.commands.get_order(order_id).await?;
        Ok(Response::new(GetOrderResponse {
            order: Some(convert::order(&order)),
        }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<CancelOrderResponse>, Status> {
        let cause = Cause {
            correlation_id: correlation_id(&request),
        };
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let call = Call::read(
            ANYBODY,
            "CancelOrder",
            &request.request_id,
            &request.encode_to_vec(),
            &mut violations,
        );
        let CancelOrderRequest {
            order_id, reason, ..
        } = request;
        let order_id = violations.uuid("order_id", &order_id);
        if reason.contains(is_no_part_of_text) {
            violations.add(
                "reason",
                "must have no control characters but line breaks and tabs",
            );
        }
        violations.into_result()?;

        let order = self
            .commands
            .cancel_order(order_id, reason, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(CancelOrderResponse { order: Some(order) }))
    }
}

/// The lines; where they are not an order's, all that is wrong with them and that their contract cannot say is in
/// `violations`.
fn parse_lines(lines: Vec<OrderLine>, violations: &mut Violations) -> Option<Lines> {
    let parse = |(index, line): (usize, OrderLine)| {
        parse_line(&format!("lines[{index}]"), line, violations)
    };
    // All are looked at before the first that is wrong ends it.
    let parsed: Vec<Option<Line>> = lines.into_iter().enumerate().map(parse).collect();
    let lines: Option<Vec<Line>> = parsed.into_iter().collect();
    Lines::new(lines?)
        .map_err(|invalid| violations.add("lines", invalid.to_string()))
        .ok()
}

fn parse_line(path: &str, line: OrderLine, violations: &mut Violations) -> Option<Line> {
    if line.sku.contains(char::is_control) {
        violations.add(
            format!("{path}.sku"),
            "must have no control characters, such as line breaks",
        );
    }
    let unit_price = parse_price(&format!("{path}.unit_price"), line.unit_price, violations);
    Some(Line {
        sku: line.sku,
        quantity: u32::try_from(line.quantity).ok()?,
        unit_price: unit_price?,
    })
}

fn parse_price(
    path: &str,
    price: Option<contracts::money::Money>,
    violations: &mut Violations,
) -> Option<Money> {
    let price = price?;
    match Money::price(&price.currency_code, price.units, price.nanos) {
        Ok(price) => Some(price),
        Err(invalid) => {
            violations.add(path, invalid.to_string());
            None
        }
    }
}

/// Control characters have no place in a text that people read, and PostgreSQL cannot even keep a zero.
fn is_no_part_of_text(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\r' | '\t')
}
