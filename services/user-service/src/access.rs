//! Who may call what: the one place that says it. A method that is not in it is not served.

use runtime::auth::{Access, Rules};

pub const RULES: Rules = &[
    ("angarium.user.v1.UserService/CreateUser", Access::Public),
    ("angarium.user.v1.UserService/GetUser", Access::Public),
];
