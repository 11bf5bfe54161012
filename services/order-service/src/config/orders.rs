//! How long orders wait, and how many are watched.

use std::time::Duration;

use runtime::config::{GrpcConfig, Problems};

/// Named at each flag: a heading for what follows would also take in the settings of whoever flattens these.
const HEADING: &str = "Orders";

const CONFIRMATION_TIME: Duration = Duration::from_secs(24 * 3600);
const MAX_WATCHERS: usize = 256;

/// Flags and variables of the orders.
#[derive(Clone, Debug, clap::Args)]
pub struct OrderArgs {
    /// How long a placed order waits to be confirmed before it is cancelled
    #[arg(
        long,
        help_heading = HEADING,
        env = "ORDER_CONFIRMATION_TIME",
        value_name = "TIME",
        default_value = "24h"
    )]
    order_confirmation_time: String,

    /// Orders that are watched at a time; more are refused [default: half of --grpc-max-in-flight]
    #[arg(long, help_heading = HEADING, env = "ORDER_MAX_WATCHERS", value_name = "N")]
    order_max_watchers: Option<String>,
}

impl OrderArgs {
    /// The checked section. Each watcher holds one of the calls that the server works on at a time, so some are left for
    /// everybody else.
    pub fn check(self, grpc: Option<&GrpcConfig>, problems: &mut Problems) -> Option<OrderConfig> {
        let confirmation_time = problems.duration_within(
            "ORDER_CONFIRMATION_TIME",
            &self.order_confirmation_time,
            (Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600)),
        );
        let calls = grpc?.max_in_flight;
        let max_watchers = match self.order_max_watchers {
            None => Some(calls / 2),
            Some(given) => problems.number("ORDER_MAX_WATCHERS", &given, (0, calls - 1)),
        };
        Some(OrderConfig {
            confirmation_time: confirmation_time?,
            max_watchers: max_watchers?,
        })
    }
}

/// How long orders wait, and how many are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderConfig {
    /// From the placing of an order until it is cancelled unless it is confirmed.
    pub confirmation_time: Duration,
    /// Streams of WatchOrder at a time, in this process.
    pub max_watchers: usize,
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self {
            confirmation_time: CONFIRMATION_TIME,
            max_watchers: MAX_WATCHERS,
        }
    }
}
