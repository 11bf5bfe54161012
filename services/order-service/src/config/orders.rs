//! The settings of orders: the time to confirm them, and the limits of watchers.

use std::time::Duration;

use runtime::config::Problems;
use service::{Known, OwnArgs};

/// At each flag: `next_help_heading` would also apply to the settings of the struct that flattens these.
const HEADING: &str = "Orders";

const CONFIRMATION_TIME: Duration = Duration::from_secs(24 * 3600);
const MAX_WATCHERS: usize = 256;
/// An eighth of all watchers.
const SHARE_OF_CALLER: usize = 8;
/// Many accounts may be one person's.
const SHARE_OF_ADDRESS: usize = 4;

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

    /// Maximum number of watched orders in this process; more are refused [default: half of --grpc-max-in-flight]
    #[arg(long, help_heading = HEADING, env = "ORDER_MAX_WATCHERS", value_name = "N")]
    order_max_watchers: Option<String>,

    /// Maximum number of orders that one caller watches at a time [default: an eighth of --order-max-watchers]
    #[arg(long, help_heading = HEADING, env = "ORDER_MAX_WATCHERS_PER_CALLER", value_name = "N")]
    order_max_watchers_per_caller: Option<String>,

    /// Maximum number of orders watched from one address; `off` if all calls come from a proxy without client addresses
    /// [default: a quarter of --order-max-watchers]
    #[arg(long, help_heading = HEADING, env = "ORDER_MAX_WATCHERS_PER_ADDRESS", value_name = "N|off")]
    order_max_watchers_per_address: Option<String>,
}

impl OwnArgs for OrderArgs {
    type Config = OrderConfig;

    const SECRETS: &'static [&'static str] = &[];

    /// Each watcher occupies one of the server's concurrent calls; some are reserved for other calls.
    fn check(self, known: &Known, problems: &mut Problems) -> Option<OrderConfig> {
        let confirmation_time = problems.duration_within(
            "ORDER_CONFIRMATION_TIME",
            &self.order_confirmation_time,
            (Duration::from_secs(1), Duration::from_secs(366 * 24 * 3600)),
        );
        let calls = known.grpc.as_ref()?.max_in_flight;
        let max_watchers = match self.order_max_watchers {
            None => Some(calls / 2),
            Some(given) => problems.number("ORDER_MAX_WATCHERS", &given, (0, calls - 1)),
        };
        let max_watchers = max_watchers?;
        let max_watchers_per_caller = match self.order_max_watchers_per_caller {
            None => Some(share_of_caller(max_watchers)),
            Some(given) => {
                problems.number("ORDER_MAX_WATCHERS_PER_CALLER", &given, (0, max_watchers))
            }
        };
        let max_watchers_per_address = match self.order_max_watchers_per_address.as_deref() {
            None => Some(Some(share_of_address(max_watchers))),
            Some("off") => Some(None),
            Some(given) => problems
                .number("ORDER_MAX_WATCHERS_PER_ADDRESS", given, (0, max_watchers))
                .map(Some),
        };
        Some(OrderConfig {
            confirmation_time: confirmation_time?,
            max_watchers,
            max_watchers_per_address: max_watchers_per_address?,
            max_watchers_per_caller: max_watchers_per_caller?,
        })
    }
}

fn share_of_address(max_watchers: usize) -> usize {
    max_watchers.div_ceil(SHARE_OF_ADDRESS)
}

fn share_of_caller(max_watchers: usize) -> usize {
    max_watchers.div_ceil(SHARE_OF_CALLER)
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderConfig {
    /// Until an unconfirmed order is cancelled.
    pub confirmation_time: Duration,
    /// Concurrent WatchOrder streams in this process.
    pub max_watchers: usize,
    /// Concurrent streams from one address. `None`: no limit.
    pub max_watchers_per_address: Option<usize>,
    /// Concurrent streams of one user.
    pub max_watchers_per_caller: usize,
}

impl Default for OrderConfig {
    fn default() -> Self {
        Self {
            confirmation_time: CONFIRMATION_TIME,
            max_watchers: MAX_WATCHERS,
            max_watchers_per_address: Some(share_of_address(MAX_WATCHERS)),
            max_watchers_per_caller: share_of_caller(MAX_WATCHERS),
        }
    }
}
