//! Rust names of what a proto file declares.

use prost_reflect::MessageDescriptor;

/// `crate::user::v1::User` for `angarium.user.v1.User`.
pub(crate) fn path(message: &MessageDescriptor) -> String {
    let package = message.package_name();
    let package = package.strip_prefix("angarium.").unwrap_or(package);
    format!("crate::{}::{}", package.replace('.', "::"), message.name())
}

/// Raw: a field may be called `type`.
pub(crate) fn identifier(field: &str) -> String {
    format!("r#{field}")
}
