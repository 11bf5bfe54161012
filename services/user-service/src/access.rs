//! The access rules. A method without a rule is not served. The code that reads a user checks access to it: users see
//! and change themselves, admins all users.

use runtime::auth::{Access, Rules};

pub const RULES: Rules = &[
    ("angarium.user.v1.UserService/CreateUser", Access::Public),
    ("angarium.user.v1.UserService/VerifyEmail", Access::Public),
    (
        "angarium.user.v1.UserService/RequestEmailVerification",
        Access::Authenticated,
    ),
    ("angarium.user.v1.UserService/Authenticate", Access::Public),
    ("angarium.user.v1.UserService/RefreshToken", Access::Public),
    ("angarium.user.v1.UserService/RevokeToken", Access::Public),
    (
        "angarium.user.v1.UserService/GetUser",
        Access::Authenticated,
    ),
    ("angarium.user.v1.UserService/ListUsers", Access::Admin),
    (
        "angarium.user.v1.UserService/UpdateUser",
        Access::Authenticated,
    ),
    (
        "angarium.user.v1.UserService/ChangePassword",
        Access::Authenticated,
    ),
    (
        "angarium.user.v1.UserService/RequestPasswordReset",
        Access::Public,
    ),
    ("angarium.user.v1.UserService/ResetPassword", Access::Public),
    (
        "angarium.user.v1.UserService/DeleteUser",
        Access::Authenticated,
    ),
    (
        "angarium.user.v1.UserService/ListSessions",
        Access::Authenticated,
    ),
    (
        "angarium.user.v1.UserService/EndSession",
        Access::Authenticated,
    ),
];
