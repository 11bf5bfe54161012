//! What the user service can be told.

use crate::app::App;

mod identity;
mod users;

pub use identity::{IdentityArgs, IdentityConfig};
pub use users::{UserArgs, UserConfig};

/// All its flags and variables.
pub type Args = service::Args<App>;

/// The checked configuration.
pub type Config = service::Config<UserConfig>;
