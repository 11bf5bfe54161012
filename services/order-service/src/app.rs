//! The definition and the parts of the service; the [`Host`](service::Host) does the rest.

use contracts::order::v1::order_service_server::OrderServiceServer;
use futures::FutureExt as _;
use runtime::slots::Limits;
use service::{Base, Definition, Keys, Parts, Schema, Service, user_deletion};

use crate::commands::Commands;
use crate::config::{OrderArgs, OrderConfig};
use crate::migrations::Migrator;
use crate::store::users;
use crate::user_deletion::Orders;
use crate::watch::Watchers;
use crate::{access, events, grpc};

pub const DEFINITION: Definition = Definition {
    name: "order-service",
    about: "Orders: gRPC in, events out",
    grpc_service: "angarium.order.v1.OrderService",
    default_port: 50052,
    exchanges: &["order_events", "key_events"],
    subscriptions: events::subscriptions,
    rules: access::RULES,
    keys: Keys::Announced,
    descriptor_set: contracts::FILE_DESCRIPTOR_SET,
    schema: Schema::of::<Migrator>(),
};

pub struct App;

impl Service for App {
    const DEFINITION: Definition = DEFINITION;
    type Args = OrderArgs;

    async fn parts(config: OrderConfig, base: &Base) -> anyhow::Result<Parts> {
        let limits = Limits {
            all: config.max_watchers,
            of_address: config.max_watchers_per_address,
            of_user: Some(config.max_watchers_per_caller),
        };
        let watchers = Watchers::new(base.store.clone(), limits);
        let commands = Commands::new(
            base.commands(),
            base.clock.clone(),
            config.confirmation_time,
        );
        let (store, tokens) = (base.store.clone(), base.page_tokens.clone());
        let orders = grpc::Orders::new(store.clone(), commands, watchers.clone(), tokens);
        Ok(base
            .serve(OrderServiceServer::new(orders))
            .taking_back(|transaction, user| users::MARKED.take_back(transaction, user).boxed())
            .beside_to_its_end("watchers", |stop| watchers.run(stop))
            .beside("user_deletion", |stop| {
                user_deletion::run::<Orders>(store, stop)
            }))
    }
}
