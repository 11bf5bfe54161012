//! What the whole system asks of its databases while nobody asks anything of it.

use std::time::{Duration, Instant};

use angarium::registry::{Registered, SERVICES};
use service::Keys;
use testkit::{Stack, Statements, eventually, eventually_is};

use crate::system::Running;

/// Between two announcements of the keys, which are 20 s apart by then, then 40.
const WATCHED: Duration = Duration::from_secs(11);
/// Of each service: one in 5 s, and one after a checkpoint.
const LOOKS: usize = 4;

#[tokio::test]
async fn an_idle_service_asks_its_database_one_thing_in_five_seconds() {
    let (statements, _listening) = Statements::listen();
    let system = Running::start(Stack::Servers).await;
    let asked = loop {
        // The first ones follow closely.
        let announced = eventually("some were announced", async || {
            let heard = announcements(&system).await;
            if heard >= 3 { Ok(heard) } else { Err(heard) }
        })
        .await;
        // What is published has to be marked, and who has done something looks for more.
        let quiet = Duration::from_secs(2);
        let (heard, nothing) = (Instant::now(), Vec::<String>::new());
        eventually_is("nothing is done any more", (true, nothing), async || {
            let mut done = statements.since(Instant::now() - quiet);
            done.retain(|statement| !is_look(statement) && !is_of_checkpoint(statement));
            (heard.elapsed() > quiet, done)
        })
        .await;

        let begun = Instant::now();
        tokio::time::sleep(WATCHED).await;
        let mut asked = statements.since(begun);
        asked.retain(|statement| !is_of_checkpoint(statement));
        // On a slow machine the next one may have come meanwhile: then it was not idle. The one after that is later still.
        if announcements(&system).await == announced {
            break asked;
        }
    };
    assert!(
        (1..=SERVICES.len() * LOOKS).contains(&asked.len()),
        "{asked:?}"
    );
    assert!(asked.iter().all(|one| is_look(one)), "{asked:?}");
    system.stop().await;
}

/// How often the keys were announced and heard of.
async fn announcements(system: &Running) -> usize {
    let heard = "SELECT event_id FROM angarium_inbox WHERE state = 'done' AND event_type LIKE '%KeyPublished'";
    let mut least = usize::MAX;
    for Registered { definition, .. } in SERVICES {
        if definition.keys == Keys::Announced {
            least = least.min(system.query(definition.name, heard).await.len());
        }
    }
    least
}

/// A checkpoint is published each minute, and after each event.
fn is_of_checkpoint(statement: &str) -> bool {
    statement.contains("/* checkpoint */")
}

/// By its beginning, which is what the log has of it.
fn is_look(statement: &str) -> bool {
    statement.contains("what is due")
}
