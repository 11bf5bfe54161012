//! The statements of an idle system to its databases.

use std::time::{Duration, Instant};

use angarium::registry::{Registered, SERVICES};
use service::Keys;
use testkit::{Stack, Statements, eventually, eventually_is};

use crate::system::Running;

/// Between two announcements of the keys, which are 20 s apart by then, and 40 s later.
const WATCHED: Duration = Duration::from_secs(11);
/// Of each service: one in 5 s, and one after a checkpoint.
const LOOKS: usize = 4;

#[tokio::test]
async fn an_idle_service_asks_its_database_one_thing_in_five_seconds() {
    let (statements, _listening) = Statements::listen();
    let system = Running::start(Stack::Servers).await;
    let asked = loop {
        // The first announcements follow each other closely.
        let announced = eventually("some were announced", async || {
            let heard = announcements(&system).await;
            if heard >= 3 { Ok(heard) } else { Err(heard) }
        })
        .await;
        // A publication must be recorded, and a busy worker polls again.
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
        // On a slow machine the next announcement may have come meanwhile: then it was not idle, and the following
        // pause is longer.
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

/// The number of announcements of the keys, published and handled.
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

/// A checkpoint is published each minute, and after each event. An idle service commits nothing else.
fn is_of_checkpoint(statement: &str) -> bool {
    statement.contains("/* checkpoint */") || statement.contains("COMMIT")
}

/// By its beginning, because the log shows only that.
fn is_look(statement: &str) -> bool {
    statement.contains("what is due")
}
