//! What the order service can be told.

use crate::app::App;

mod orders;

pub use orders::{OrderArgs, OrderConfig};

/// All its flags and variables.
pub type Args = service::Args<App>;

/// The checked configuration.
pub type Config = service::Config<OrderConfig>;
