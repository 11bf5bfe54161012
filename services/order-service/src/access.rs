//! Who may call what: the one place that says it. A method that is not in it is not served.

use runtime::auth::{Access, Rules};

pub const RULES: Rules = &[
    ("angarium.order.v1.OrderService/PlaceOrder", Access::Public),
    ("angarium.order.v1.OrderService/GetOrder", Access::Public),
    ("angarium.order.v1.OrderService/CancelOrder", Access::Public),
];
