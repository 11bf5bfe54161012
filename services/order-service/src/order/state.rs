//! The states of an order and their transitions. Pure.
//!
//! Every state is entered by one kind of change only, at most once.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Placed,
    Confirmed,
    Shipped,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Confirm,
    Ship,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IllegalTransition {
    pub from: State,
    pub step: Step,
}

impl State {
    pub fn after(self, step: Step) -> Result<Self, IllegalTransition> {
        match (self, step) {
            (Self::Placed, Step::Confirm) => Ok(Self::Confirmed),
            (Self::Confirmed, Step::Ship) => Ok(Self::Shipped),
            (Self::Placed | Self::Confirmed, Step::Cancel) => Ok(Self::Cancelled),
            (from, step) => Err(IllegalTransition { from, step }),
        }
    }

    pub fn is_final(self) -> bool {
        match self {
            Self::Placed | Self::Confirmed => false,
            Self::Shipped | Self::Cancelled => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 4] = [
        State::Placed,
        State::Confirmed,
        State::Shipped,
        State::Cancelled,
    ];
    const STEPS: [Step; 3] = [Step::Confirm, Step::Ship, Step::Cancel];

    #[test]
    fn every_state_allows_what_leads_on_from_it_and_nothing_else() {
        let allowed = [
            (State::Placed, Step::Confirm, State::Confirmed),
            (State::Placed, Step::Cancel, State::Cancelled),
            (State::Confirmed, Step::Ship, State::Shipped),
            (State::Confirmed, Step::Cancel, State::Cancelled),
        ];
        for from in STATES {
            for step in STEPS {
                let expected = allowed
                    .iter()
                    .find(|(state, allowed, _)| (*state, *allowed) == (from, step))
                    .map(|(_, _, to)| *to)
                    .ok_or(IllegalTransition { from, step });
                assert_eq!(from.after(step), expected);
            }
        }
    }

    #[test]
    fn a_state_is_final_if_no_step_leads_on_from_it() {
        for state in STATES {
            let leads_on = STEPS.iter().any(|step| state.after(*step).is_ok());
            assert_eq!(state.is_final(), !leads_on, "{state:?}");
        }
    }
}
