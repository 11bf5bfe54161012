//! A broker without free memory accepts no messages for a while: the relay waits.

use std::time::Duration;

use messaging::outbox;
use messaging::transport::{self, RabbitMqConfig, Topology};
use testkit::{
    Broker, BrokerKind, Operator, OwnServer, Proxy, ServerKind, StoreKind, VirtualHost, eventually,
};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::Changed;
use crate::fixture::{Fixture, cause};

const EVENTS: usize = 300;
const TIME_OUT: Duration = Duration::from_secs(1);

/// On a private broker, because the alarm affects all clients. It notifies a connection only after its first message.
#[tokio::test]
#[expect(
    clippy::print_stderr,
    reason = "the reader of a run must see which tests were skipped"
)]
async fn a_blocked_broker_keeps_its_connection_and_each_event_once() {
    let server = match OwnServer::start(ServerKind::RabbitMq).await {
        Ok(server) => server,
        Err(reason) => return eprintln!("not tried: there is no broker of its own ({reason})"),
    };
    let operator = server.operator();
    let host = VirtualHost::create(operator, server.url()).await;
    let proxy = Proxy::before(host.url().as_str()).await;
    let config = RabbitMqConfig {
        time_out: TIME_OUT,
        ..RabbitMqConfig::new(proxy.url().parse().unwrap())
    };
    let topology = Topology::default().consuming(each_on_its_own().queue());
    let transport = transport::Broker::RabbitMq(config).transport("test", topology);
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let transaction = fixture.store.begin().await.unwrap();
    for number in 0..EVENTS {
        let event = Changed::of(&number.to_string());
        let enqueued = outbox::enqueue(&transaction, &event, 1, &cause());
        enqueued.unwrap();
    }
    transaction.commit().await.unwrap();

    operator.run(&["set_vm_memory_high_watermark", "0"]).await;
    fixture.run_relay(transport);
    eventually("the broker has blocked it", async || {
        let states = connections(operator).await;
        if states == ["blocked"] {
            Ok(())
        } else {
            Err(states)
        }
    })
    .await;
    let anew = eventually("it connects once more", async || {
        (proxy.attempts() > 1).then_some(()).ok_or(())
    });
    let begun_anew = tokio::time::timeout(4 * TIME_OUT, anew).await;
    assert!(begun_anew.is_err(), "it has given its connection up");
    assert_eq!(fixture.pending().await, EVENTS);

    operator.run(&["set_vm_memory_high_watermark", "0.6"]).await;
    fixture.all_is_published().await;
    assert_eq!(proxy.attempts(), 1);
    assert!(fixture.outbox().await.iter().all(|row| row.attempts == 0));
    assert_eq!(Broker::of(&host).messages(QUEUE).await, EVENTS as u64);
    fixture.stop().await;
}

async fn connections(operator: &Operator) -> Vec<String> {
    let list = ["list_connections", "--quiet", "--no-table-headers", "state"];
    let said = operator.run(&list).await;
    said.lines().map(str::to_owned).collect()
}
