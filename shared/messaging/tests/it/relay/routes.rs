//! The routes of events are independent, however their answers interleave.

use messaging::outbox;
use rstest::rstest;
use testkit::{BrokerKind, StoreKind, eventually};

use crate::effects::{QUEUE, each_on_its_own};
use crate::events::{Audited, Changed};
use crate::fixture::{Fixture, cause};

const EACH: usize = 500;

#[rstest]
#[tokio::test]
async fn only_unroutable_events_stay_unpublished(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
    #[values(BrokerKind::RabbitMq, BrokerKind::Embedded)] broker: BrokerKind,
) {
    let mut fixture = Fixture::new(store, broker).await;
    let transport = fixture.transport(&each_on_its_own());
    transport.declare().await.unwrap();
    let transaction = fixture.store.begin().await.unwrap();
    for number in 0..EACH {
        let bound = Changed::of(&format!("{number} bound"));
        let unbound = Audited {
            account: format!("{number} unbound"),
        };
        let (first, cause) = (1, cause());
        outbox::enqueue(&transaction, &bound, first, &cause).unwrap();
        outbox::enqueue(&transaction, &unbound, first, &cause).unwrap();
    }
    transaction.commit().await.unwrap();
    fixture.run_relay(transport);
    let outbox = eventually("each was answered for", async || {
        let outbox = fixture.outbox().await;
        let unanswered = outbox
            .iter()
            .filter(|row| !row.published && row.attempts == 0);
        match unanswered.count() {
            0 => Ok(outbox),
            unanswered => Err(unanswered),
        }
    })
    .await;
    fixture.stop().await;
    let (bound, unbound): (Vec<_>, Vec<_>) = outbox
        .into_iter()
        .partition(|row| row.event_type == "test.account.v1.Changed");
    assert_eq!([bound.len(), unbound.len()], [EACH, EACH]);
    let lost = unbound.iter().filter(|row| row.published);
    let held_back = bound
        .iter()
        .filter(|row| !row.published || row.attempts > 0);
    assert_eq!([lost.count(), held_back.count()], [0, 0]);
    assert_eq!(fixture.broker.messages(QUEUE).await, EACH as u64);
}
