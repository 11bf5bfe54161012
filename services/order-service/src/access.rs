//! Who may call what: the one place that says it. A method that is not in it is not served. Whose an order is stands in the
//! queries.

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
