//! A consumer that waits for its database reports it; nothing else does.

use std::sync::atomic::{AtomicBool, Ordering};

use messaging::{Delivered, HandlerError, Subscriptions, Transaction};
use sea_orm::ConnectionTrait as _;
use testkit::{BrokerKind, StoreKind, eventually_is};

use crate::effects::{QUEUE, change};
use crate::events::{Changed, id, message};
use crate::fixture::Fixture;

static AWAY: AtomicBool = AtomicBool::new(true);

async fn disconnecting(
    transaction: &Transaction,
    event: Changed,
    delivered: &Delivered,
) -> Result<(), HandlerError> {
    if AWAY.load(Ordering::SeqCst) {
        let ending = "SELECT pg_terminate_backend(pg_backend_pid())";
        transaction.execute_unprepared(ending).await?;
    }
    change(transaction, event, delivered).await
}

#[tokio::test]
async fn a_consumer_reports_that_it_waits_for_its_database() {
    let mut fixture = Fixture::new(StoreKind::Postgres, BrokerKind::Embedded).await;
    let consuming = fixture.store.consuming();
    let subscriptions = || Subscriptions::new(QUEUE).on::<Changed>(disconnecting);
    let event = message(&Changed::of("a"), 1);
    fixture.send(&subscriptions(), [&event]).await;
    assert!(*consuming.borrow(), "an idle consumer waits for nothing");
    fixture.run_consumer(subscriptions());
    eventually_is("it waits", false, async || *consuming.borrow()).await;
    AWAY.store(false, Ordering::SeqCst);
    fixture.becomes(&id(&event), "done").await;
    eventually_is("it goes on", true, async || *consuming.borrow()).await;
    fixture.stop().await;
}
