//! Without the broker, orders are accepted as long as their events may wait.

use std::time::Duration;

use contracts::order::v1::{Order, OrderPlaced};
use event::Message;
use messaging::transport::{self, RabbitMqConfig};
use order_service::DEFINITION;
use prost::Message as _;
use rstest::rstest;
use testbench::no_broker;
use testkit::{Broker, BrokerKind, Proxy, StoreKind, eventually, eventually_is, reason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::tea_for;

#[rstest]
#[tokio::test]
async fn without_a_broker_orders_are_taken_until_events_are_overdue(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let fixture = Fixture::without_patience(store, broker, no_broker()).await;
    let user_id = fixture.known_here().await;

    let taken = place_until_refused(&fixture, &user_id).await;
    // Nothing acknowledged is lost, and reads still work.
    assert_eq!(fixture.outbox().await.len(), taken.len());
    let refused = fixture.cancel(&taken[0].order_id, "").await.unwrap_err();
    assert_over_budget(&refused);
    assert_eq!(fixture.get(&taken[0].order_id).await.unwrap(), taken[0]);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn after_the_brokers_return_orders_go_on_and_no_event_is_lost(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let (proxy, reached) = by_way_of_a_proxy(&broker).await;
    let fixture = Fixture::without_patience(store, broker, reached).await;
    let user_id = fixture.known_user().await;

    proxy.cut();
    let mut orders = place_until_refused(&fixture, &user_id).await;

    proxy.mend();
    let again = eventually("orders are taken again", async || {
        fixture.place(tea_for(&user_id)).await
    });
    orders.push(again.await);
    eventually_is("every event is published", 0, async || {
        let pending = "SELECT count(*) FROM angarium_outbox WHERE held_until IS NULL";
        fixture.count(pending).await
    })
    .await;
    // Each is another aggregate. The broker may have received one twice.
    let mut missing: Vec<&str> = orders.iter().map(|order| order.order_id.as_str()).collect();
    let mut subscriber = fixture.subscriber().await;
    while !missing.is_empty() {
        let received = order_id(&subscriber.receive().await);
        missing.retain(|order_id| *order_id != received);
    }
    fixture.stop().await;
}

/// The proxy can be cut.
async fn by_way_of_a_proxy(broker: &Broker) -> (Proxy, transport::Broker) {
    let transport::Broker::RabbitMq(direct) =
        broker.of_services([&DEFINITION.participant().topology()])
    else {
        panic!("only a server has a proxy before it");
    };
    let proxy = Proxy::before(direct.url.as_str()).await;
    let url = proxy.url().parse().unwrap();
    let reached = transport::Broker::RabbitMq(RabbitMqConfig { url, ..direct });
    (proxy, reached)
}

/// At least one, because nothing waited before it.
async fn place_until_refused(fixture: &Fixture, user_id: &str) -> Vec<Order> {
    let mut taken = vec![fixture.place(tea_for(user_id)).await.unwrap()];
    let refused = eventually("orders are refused", async || {
        match fixture.place(tea_for(user_id)).await {
            Ok(order) => {
                taken.push(order);
                Err(taken.len())
            }
            Err(refused) => Ok(refused),
        }
    })
    .await;
    assert_over_budget(&refused);
    taken
}

fn assert_over_budget(refused: &Status) {
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(reason(refused), "OUTBOX_OVER_BUDGET");
    let details = refused.get_error_details();
    let retry = details.retry_info().unwrap().retry_delay;
    assert!(retry > Some(Duration::ZERO));
}

fn order_id(message: &Message) -> String {
    assert_eq!(message.routing_key, "order.placed");
    let placed = OrderPlaced::decode(message.body.clone()).unwrap();
    placed.order_id
}
