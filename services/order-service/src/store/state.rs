//! The database names of the states of an order.

use crate::order::State;

pub(super) fn state_name(state: State) -> &'static str {
    match state {
        State::Placed => "placed",
        State::Confirmed => "confirmed",
        State::Shipped => "shipped",
        State::Cancelled => "cancelled",
    }
}
