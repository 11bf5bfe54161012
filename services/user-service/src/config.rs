//! The settings of the user service.

mod identity;
mod users;

pub use identity::{IdentityArgs, IdentityConfig};
pub use users::{UserArgs, UserConfig};
