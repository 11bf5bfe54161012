//! A completed step of the demo, as the line that the reader sees.

use std::fmt;
use std::time::Duration;

pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) how: String,
    pub(super) took: Duration,
    pub(super) at: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, took) = (
            self.at.as_secs_f64() * 1000.0,
            self.took.as_secs_f64() * 1000.0,
        );
        write!(
            formatter,
            "{at:>8.1} ms  {:<9} {:<72} {took:>7.1} ms",
            self.what, self.how
        )
    }
}
