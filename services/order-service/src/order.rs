//! The aggregate: what an order is, and which changes it allows. Pure.
//!
//! Each change raises the version by one, and each version is one event.

use uuid::Uuid;

use crate::money::{Money, TooLarge};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: Uuid,
    pub user_id: Uuid,
    pub state: State,
    pub lines: Vec<Line>,
    pub total: Money,
    /// 1 when placed, and one more with each change.
    pub version: i64,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
    pub cancellation: Option<Cancellation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Placed,
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub sku: String,
    pub quantity: u32,
    pub unit_price: Money,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    pub at_ms: i64,
    /// Empty where none was given.
    pub reason: String,
}

/// At least one line, all in one currency, with a total that is an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    lines: Vec<Line>,
    total: Money,
}

/// Why lines do not make an order.
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
    /// Where there are none, or they are in different currencies, or too dear.
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

/// The order's state does not allow the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalTransition {
    pub from: State,
}

impl Order {
    /// A new order of these lines.
    pub fn place(id: Uuid, user_id: Uuid, lines: Lines, now_ms: i64) -> Self {
        Self {
            id,
            user_id,
            state: State::Placed,
            lines: lines.lines,
            total: lines.total,
            version: 1,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            cancellation: None,
        }
    }

    /// Cancels the order.
    ///
    /// # Errors
    /// Where it is cancelled already: the first reason stands.
    pub fn cancel(&mut self, reason: String, now_ms: i64) -> Result<(), IllegalTransition> {
        match self.state {
            State::Placed => {
                self.state = State::Cancelled;
                self.version += 1;
                self.updated_at_ms = now_ms;
                self.cancellation = Some(Cancellation {
                    at_ms: now_ms,
                    reason,
                });
                Ok(())
            }
            from @ State::Cancelled => Err(IllegalTransition { from }),
        }
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

    fn place(lines: Vec<Line>) -> Order {
        Order::place(Uuid::nil(), Uuid::nil(), Lines::new(lines).unwrap(), 1_000)
    }

    #[test]
    fn the_total_is_the_sum_of_all_lines() {
        let order = place(vec![line("EUR", 1, 3), line("EUR", 10, 1)]);
        assert_eq!(order.total, Money::price("EUR", 15, 0).unwrap());
        assert_eq!((order.state, order.version), (State::Placed, 1));
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

    #[test]
    fn a_placed_order_can_be_cancelled_once() {
        let mut order = place(vec![line("EUR", 1, 1)]);
        assert_eq!(order.cancel("changed my mind".to_owned(), 2_000), Ok(()));
        assert_eq!(
            (order.state, order.version, order.updated_at_ms),
            (State::Cancelled, 2, 2_000)
        );

        let cancelled = order.clone();
        let again = order.cancel("again".to_owned(), 3_000);
        assert_eq!(
            again,
            Err(IllegalTransition {
                from: State::Cancelled
            })
        );
        assert_eq!(order, cancelled);
    }
}
