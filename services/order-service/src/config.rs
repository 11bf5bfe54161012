//! The settings of the order service.

mod orders;

pub use orders::{OrderArgs, OrderConfig};
