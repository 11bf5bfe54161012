//! Reads the lines of an order from a request, and names all that is wrong with them at once.

use contracts::order::v1::OrderLine;
use runtime::status::Violations;

use crate::money::Money;
use crate::order::{Line, Lines};

const MAX_SKU_CHARACTERS: usize = 64;
const MAX_QUANTITY: u32 = 10_000;

/// The lines; where they are not an order's, all that is wrong with them is in `violations`.
pub(super) fn parse(lines: Vec<OrderLine>, violations: &mut Violations) -> Option<Lines> {
    // Before what is wrong with each: of very many mistakes the last ones do not fit into the answer.
    let count = Lines::check_count(lines.len());
    if let Err(invalid) = count {
        violations.add("lines", invalid.to_string());
    }
    let each = |(index, line): (usize, OrderLine)| {
        parse_line(&format!("lines[{index}]"), line, violations)
    };
    // All are looked at before the first that is wrong ends it.
    let parsed: Vec<Option<Line>> = lines.into_iter().enumerate().map(each).collect();
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
