//! What the whole system asks of its databases while nobody asks anything of it.

use std::time::{Duration, Instant};

use testkit::{Stack, Statements, eventually_is};

use crate::system::Running;

/// Between two announcements of the keys, which are 20 s apart by then.
const WATCHED: Duration = Duration::from_secs(11);
/// Of each service: one in 5 s.
const LOOKS: usize = 3;
const SERVICES: usize = 3;

#[tokio::test]
async fn an_idle_service_asks_its_database_one_thing_in_five_seconds() {
    let (statements, _listening) = Statements::listen();
    let system = Running::start(Stack::Servers).await;
    let heard =
        "SELECT event_id FROM inbox WHERE state = 'done' AND event_type LIKE '%KeyPublished'";
    for service in [order_service::NAME, notification_service::NAME] {
        eventually_is("the keys were announced three times", 3, async || {
            system.query(service, heard).await.len()
        })
        .await;
    }
    // What is published has to be marked, and who has done something looks for more.
    let quiet = Duration::from_secs(2);
    let (heard, nothing) = (Instant::now(), Vec::<String>::new());
    eventually_is("nothing is done any more", (true, nothing), async || {
        let mut done = statements.since(Instant::now() - quiet);
        done.retain(|statement| !is_look(statement));
        (heard.elapsed() > quiet, done)
    })
    .await;

    let begun = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let asked = statements.since(begun);
    assert!((1..=SERVICES * LOOKS).contains(&asked.len()), "{asked:?}");
    assert!(asked.iter().all(|one| is_look(one)), "{asked:?}");
    system.stop().await;
}

/// By its beginning, which is what the log has of it.
fn is_look(statement: &str) -> bool {
    statement.contains("what is due")
}
