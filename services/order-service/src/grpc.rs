//! `angarium.order.v1.OrderService`: reads a request, calls a command, writes the answer.

use contracts::order::v1::order_service_server::OrderService;
use contracts::order::v1::{
    CancelOrderRequest, CancelOrderResponse, GetOrderRequest, GetOrderResponse, OrderLine,
    PlaceOrderRequest, PlaceOrderResponse,
};
use messaging::Cause;
use runtime::grpc::correlation_id;
use runtime::status::Violations;
use tonic::{Request, Response, Status};

use crate::commands::Commands;
use crate::convert;
use crate::money::Money;
use crate::order::{Line, Lines};

const MAX_SKU_CHARACTERS: usize = 64;
const MAX_QUANTITY: u32 = 10_000;
const MAX_REASON_CHARACTERS: usize = 500;

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
        let PlaceOrderRequest { user_id, lines } = request.into_inner();
        let mut violations = Violations::new();
        let user_id = violations.uuid("user_id", &user_id);
        let lines = parse_lines(lines, &mut violations);
        let Some(lines) = lines.filter(|_| violations.is_empty()) else {
            return Err(violations.into_status());
        };

        let order = self.commands.place_order(user_id, lines, &cause).await?;
        Ok(Response::new(PlaceOrderResponse {
            order: Some(convert::order(&order)),
        }))
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<GetOrderResponse>, Status> {
        let mut violations = Violations::new();
        let order_id = violations.uuid("order_id", &request.get_ref().order_id);
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
        let CancelOrderRequest { order_id, reason } = request.into_inner();
        let mut violations = Violations::new();
        let order_id = violations.uuid("order_id", &order_id);
        if reason.chars().count() > MAX_REASON_CHARACTERS || reason.contains(is_no_part_of_text) {
            violations.add(
                "reason",
                format!(
                    "must have at most {MAX_REASON_CHARACTERS} characters, and no control characters but line breaks and tabs"
                ),
            );
        }
        violations.into_result()?;

        let order = self.commands.cancel_order(order_id, reason, &cause).await?;
        Ok(Response::new(CancelOrderResponse {
            order: Some(convert::order(&order)),
        }))
    }
}

/// The lines; where they are not an order's, all that is wrong with them is in `violations`.
fn parse_lines(lines: Vec<OrderLine>, violations: &mut Violations) -> Option<Lines> {
    // Before what is wrong with each: of very many mistakes the last ones do not fit into the answer.
    let count = Lines::check_count(lines.len());
    if let Err(invalid) = count {
        violations.add("lines", invalid.to_string());
    }
    let parse = |(index, line): (usize, OrderLine)| {
        parse_line(&format!("lines[{index}]"), line, violations)
    };
    // All are looked at before the first that is wrong ends it.
    let parsed: Vec<Option<Line>> = lines.into_iter().enumerate().map(parse).collect();
    let lines: Option<Vec<Line>> = parsed.into_iter().collect();
    count.ok()?;
    Lines::new(lines?)
        .map_err(|invalid| violations.add("lines", invalid.to_string()))
        .ok()
}

fn parse_line(path: &str, line: OrderLine, violations: &mut Violations) -> Option<Line> {
    let sku_fits = (1..=MAX_SKU_CHARACTERS).contains(&line.sku.chars().count())
        && !line.sku.contains(char::is_control);
    if !sku_fits {
        violations.add(
            format!("{path}.sku"),
            format!(
                "must have from 1 to {MAX_SKU_CHARACTERS} characters, and no control characters"
            ),
        );
    }
    let quantity = u32::try_from(line.quantity)
        .ok()
        .filter(|quantity| (1..=MAX_QUANTITY).contains(quantity));
    if quantity.is_none() {
        violations.add(
            format!("{path}.quantity"),
            format!("must be from 1 to {MAX_QUANTITY}"),
        );
    }
    let unit_price = parse_price(&format!("{path}.unit_price"), line.unit_price, violations);
    sku_fits.then_some(Line {
        sku: line.sku,
        quantity: quantity?,
        unit_price: unit_price?,
    })
}

fn parse_price(
    path: &str,
    price: Option<contracts::money::Money>,
    violations: &mut Violations,
) -> Option<Money> {
    let Some(price) = price else {
        violations.add(path, "is required");
        return None;
    };
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
