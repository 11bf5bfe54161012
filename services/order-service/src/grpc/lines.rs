//! Parses the lines of an order, with rules that the contract cannot state.

use contracts::order::v1::OrderLine;
use runtime::status::Violations;

use crate::money::Money;
use crate::order::{Line, Lines};

pub(super) fn parse(lines: Vec<OrderLine>, violations: &mut Violations) -> Option<Lines> {
    let each = |(index, line): (usize, OrderLine)| {
        parse_line(&format!("lines[{index}]"), line, violations)
    };
    // Collected first: all invalid lines are reported.
    let parsed: Vec<Option<Line>> = lines.into_iter().enumerate().map(each).collect();
    let lines: Option<Vec<Line>> = parsed.into_iter().collect();
    Lines::new(lines?)
        .map_err(|invalid| violations.add("lines", invalid.to_string()))
        .ok()
}

fn parse_line(path: &str, line: OrderLine, violations: &mut Violations) -> Option<Line> {
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
