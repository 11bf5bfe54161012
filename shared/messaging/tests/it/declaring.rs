//! What a service says of a broker that has something else under the names that it uses.

use messaging::transport::{Queue, Topology};
use testkit::{Broker, BrokerKind};

#[tokio::test]
async fn a_queue_with_other_settings_is_told_with_what_differs_and_what_to_do() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let limited_to = |delivery_limit| {
        let queue = Queue {
            name: "things_queue".to_owned(),
            bindings: [].into(),
            delivery_limit,
        };
        broker.transport(Topology::default().consuming(queue))
    };
    limited_to(20).declare().await.unwrap();
    let error = limited_to(7).declare().await.unwrap_err();
    let said = error.mismatch().unwrap().to_string();
    for part in [
        "things_queue`",
        "x-delivery-limit",
        "'7'",
        "'20'",
        "delete it",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("nor may the service"), "{said}");
}
