//! The access rules. A method without a rule is not served. The queries check who owns an order.

use runtime::auth::{Access, Rules};

pub const RULES: Rules = &[
    (
        "angarium.order.v1.OrderService/PlaceOrder",
        Access::Authenticated,
    ),
    (
        "angarium.order.v1.OrderService/GetOrder",
        Access::Authenticated,
    ),
    (
        "angarium.order.v1.OrderService/ListOrders",
        Access::Authenticated,
    ),
    ("angarium.order.v1.OrderService/ConfirmOrder", Access::Admin),
    ("angarium.order.v1.OrderService/ShipOrder", Access::Admin),
    (
        "angarium.order.v1.OrderService/CancelOrder",
        Access::Authenticated,
    ),
    (
        "angarium.order.v1.OrderService/WatchOrder",
        Access::Authenticated,
    ),
    ("angarium.order.v1.OrderService/GetUserView", Access::Admin),
];
