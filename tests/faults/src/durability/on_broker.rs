//! What a broker keeps when it crashes. Read by rabbitmqctl and by a plain client, not by our own transport.

use anyhow::Result;
use messaging::transport::{Confirmation, dead_letter_queue};
use testkit::{Broker, Operator, VirtualHost};

use crate::deposit;
use crate::poison::wrong;

/// `None` without rabbitmqctl.
pub(super) async fn check() -> Result<Option<Vec<String>>> {
    let Some(operator) = Operator::if_any() else {
        println!("durability: no broker was checked: ANGARIUM_TEST_RABBITMQCTL is not set");
        return Ok(None);
    };
    let host = VirtualHost::create(&operator, &testkit::amqp_url()).await;
    let broker = Broker::of(&host);
    let transport = broker.transport(deposit::consumer());
    transport.declare().await?;
    let publisher = transport.publisher().await?;
    let mut wrong = Vec::new();
    let mut expect = |right: bool, what: String| {
        if !right {
            wrong.push(what);
        }
    };

    let queues = host.queues(&["name", "durable", "type"]).await;
    for queue in [deposit::QUEUE.to_owned(), dead_letter_queue(deposit::QUEUE)] {
        let durable_quorum = [queue.as_str(), "true", "quorum"];
        let right = queues.iter().any(|row| row == &durable_quorum);
        expect(
            right,
            format!("queue {queue} is not a durable quorum queue: {queues:?}"),
        );
    }
    // The channel that publishes uses confirms.
    let channels = host.channels("confirm").await;
    let right = channels.iter().any(|confirm| confirm == "true");
    expect(right, format!("no channel uses confirms: {channels:?}"));
    for sample in wrong::samples(1, 0, 0, 0) {
        let confirmation = publisher.publish(&sample.message).await?.await?;
        let right = confirmation == Confirmation::Routed;
        expect(
            right,
            format!("a message got {confirmation:?} instead of a confirm"),
        );
        let mode = broker.delivery_mode(deposit::QUEUE).await;
        expect(
            mode == Some(2),
            format!("a message has the delivery mode {mode:?} instead of 2"),
        );
    }
    Ok(Some(wrong))
}
