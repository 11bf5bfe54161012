//! The lines of an order and their total. Pure.

use crate::money::{Money, TooLarge};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub sku: String,
    pub quantity: u32,
    pub unit_price: Money,
}

/// At least one line, all in one currency, with a total in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) total: Money,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLines {
    #[error("must have at least one element")]
    None,
    #[error("must all be in the same currency")]
    Currencies,
    #[error("must add up to an amount that fits into google.type.Money")]
    Total,
}

impl Lines {
    /// # Errors
    /// If there are none, their currencies differ, or the total is out of range.
    pub fn new(lines: Vec<Line>) -> Result<Self, InvalidLines> {
        let [first, others @ ..] = lines.as_slice() else {
            return Err(InvalidLines::None);
        };
        if others
            .iter()
            .any(|line| line.unit_price.currency() != first.unit_price.currency())
        {
            return Err(InvalidLines::Currencies);
        }
        let sum = |total: Money, line: &Line| line.price()?.plus(&total);
        let total = first
            .price()
            .and_then(|price| others.iter().try_fold(price, sum));
        let total = total.map_err(|TooLarge| InvalidLines::Total)?;
        Ok(Self { lines, total })
    }
}

impl Line {
    fn price(&self) -> Result<Money, TooLarge> {
        self.unit_price.times(self.quantity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(currency: &str, units: i64, quantity: u32) -> Line {
        Line {
            sku: "A-1".to_owned(),
            quantity,
            unit_price: Money::price(currency, units, 500_000_000).unwrap(),
        }
    }

    #[test]
    fn the_total_is_the_sum_of_all_lines() {
        let lines = Lines::new(vec![line("EUR", 1, 3), line("EUR", 10, 1)]).unwrap();
        assert_eq!(lines.total, Money::price("EUR", 15, 0).unwrap());
    }

    #[test]
    fn lines_that_do_not_make_an_order_are_refused() {
        assert_eq!(Lines::new(vec![]), Err(InvalidLines::None));
        assert_eq!(
            Lines::new(vec![line("EUR", 1, 1), line("USD", 1, 1)]),
            Err(InvalidLines::Currencies)
        );
        assert_eq!(
            Lines::new(vec![line("EUR", i64::MAX, 2)]),
            Err(InvalidLines::Total)
        );
        assert_eq!(
            Lines::new(vec![line("EUR", i64::MAX, 1), line("EUR", 1, 1)]),
            Err(InvalidLines::Total)
        );
    }
}
