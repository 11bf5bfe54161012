//! The aggregate: an order and its allowed changes. Pure.
//!
//! Each change raises the version by one; each version is one event. A change sets its own time and keeps the others,
//! so every earlier version can be derived from the latest ([`Order::since`]).

use uuid::Uuid;

use crate::money::Money;

mod lines;
mod state;

pub use lines::{InvalidLines, Line, Lines};
pub use state::{IllegalTransition, State, Step};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: Uuid,
    pub user_id: Uuid,
    pub state: State,
    pub lines: Vec<Line>,
    pub total: Money,
    /// 1 when placed, plus one per change.
    pub version: i64,
    pub created_at_ms: i64,
    /// Then it is cancelled if it is not confirmed before.
    pub expires_at_ms: i64,
    pub updated_at_ms: i64,
    pub confirmed_at_ms: Option<i64>,
    pub shipment: Option<Shipment>,
    pub cancellation: Option<Cancellation>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shipment {
    pub at_ms: i64,
    pub carrier: String,
    pub tracking_number: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cancellation {
    pub at_ms: i64,
    /// Empty if none was given.
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Confirm,
    Ship {
        carrier: String,
        tracking_number: String,
    },
    Cancel {
        reason: String,
    },
}

impl Order {
    /// It must be confirmed before `expires_at_ms`.
    pub fn place(id: Uuid, user_id: Uuid, lines: Lines, now_ms: i64, expires_at_ms: i64) -> Self {
        Self {
            id,
            user_id,
            state: State::Placed,
            lines: lines.lines,
            total: lines.total,
            version: 1,
            created_at_ms: now_ms,
            expires_at_ms,
            updated_at_ms: now_ms,
            confirmed_at_ms: None,
            shipment: None,
            cancellation: None,
        }
    }

    /// # Errors
    /// If the order's state does not allow it; the order is then unchanged.
    pub fn apply(&mut self, change: Change, now_ms: i64) -> Result<(), IllegalTransition> {
        self.state = self.state.after(change.step())?;
        self.version += 1;
        // Clocks differ between machines. The times of an order never go back.
        let at_ms = now_ms.max(self.updated_at_ms);
        self.updated_at_ms = at_ms;
        match change {
            Change::Confirm => self.confirmed_at_ms = Some(at_ms),
            Change::Ship {
                carrier,
                tracking_number,
            } => {
                self.shipment = Some(Shipment {
                    at_ms,
                    carrier,
                    tracking_number,
                });
            }
            Change::Cancel { reason } => self.cancellation = Some(Cancellation { at_ms, reason }),
        }
        Ok(())
    }

    /// After `version`, oldest first, up to the current one.
    pub fn since(&self, version: i64) -> Vec<Self> {
        (version + 1..=self.version)
            .map(|version| self.as_of(version))
            .collect()
    }

    fn as_of(&self, version: i64) -> Self {
        if version >= self.version {
            return self.clone();
        }
        // A change before the last one was the confirmation; the last one is a shipment or a cancellation.
        let confirmed_at_ms = self.confirmed_at_ms.filter(|_| version > 1);
        Self {
            state: match confirmed_at_ms {
                Some(_) => State::Confirmed,
                None => State::Placed,
            },
            version,
            updated_at_ms: confirmed_at_ms.unwrap_or(self.created_at_ms),
            confirmed_at_ms,
            shipment: None,
            cancellation: None,
            ..self.clone()
        }
    }
}

impl Change {
    fn step(&self) -> Step {
        match self {
            Self::Confirm => Step::Confirm,
            Self::Ship { .. } => Step::Ship,
            Self::Cancel { .. } => Step::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed() -> Order {
        let line = Line {
            sku: "A-1".to_owned(),
            quantity: 1,
            unit_price: Money::price("EUR", 1, 0).unwrap(),
        };
        let lines = Lines::new(vec![line]).unwrap();
        Order::place(Uuid::nil(), Uuid::nil(), lines, 1_000, 9_000)
    }

    fn ship() -> Change {
        Change::Ship {
            carrier: "Royal Road".to_owned(),
            tracking_number: "111".to_owned(),
        }
    }

    fn cancel(reason: &str) -> Change {
        Change::Cancel {
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn a_change_takes_the_next_version_and_records_time_and_data() {
        let mut order = placed();
        assert_eq!((order.state, order.version), (State::Placed, 1));
        order.apply(Change::Confirm, 2_000).unwrap();
        assert_eq!((order.state, order.version), (State::Confirmed, 2));
        assert_eq!(order.confirmed_at_ms, Some(2_000));
        order.apply(ship(), 3_000).unwrap();
        assert_eq!((order.state, order.version), (State::Shipped, 3));
        let shipment = order.shipment.unwrap();
        assert_eq!(shipment.at_ms, 3_000);
        assert_eq!(shipment.carrier, "Royal Road");
        assert_eq!(shipment.tracking_number, "111");
        assert_eq!((order.created_at_ms, order.updated_at_ms), (1_000, 3_000));
    }

    #[test]
    fn what_is_not_allowed_changes_nothing() {
        let mut order = placed();
        order.apply(cancel("changed my mind"), 2_000).unwrap();
        let cancelled = order.clone();
        for (change, step) in [
            (Change::Confirm, Step::Confirm),
            (ship(), Step::Ship),
            (cancel("again"), Step::Cancel),
        ] {
            let from = State::Cancelled;
            let refused = order.apply(change, 3_000);
            assert_eq!(refused, Err(IllegalTransition { from, step }));
            assert_eq!(order, cancelled);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_set_the_order_back() {
        let mut order = placed();
        order.apply(Change::Confirm, 5).unwrap();
        assert_eq!(order.updated_at_ms, 1_000);
        assert_eq!(order.confirmed_at_ms, Some(1_000));
    }

    #[test]
    fn every_earlier_version_can_be_derived_from_the_latest() {
        for path in [
            vec![],
            vec![Change::Confirm],
            vec![cancel("no")],
            vec![Change::Confirm, ship()],
            vec![Change::Confirm, cancel("no")],
        ] {
            let mut order = placed();
            let mut seen = vec![order.clone()];
            for (change, now_ms) in path.into_iter().zip([2_000, 3_000]) {
                order.apply(change, now_ms).unwrap();
                seen.push(order.clone());
            }
            assert_eq!(order.since(0), seen);
            assert_eq!(order.since(1), seen[1..]);
            assert_eq!(order.since(order.version), []);
        }
    }
}
