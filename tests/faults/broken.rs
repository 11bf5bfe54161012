//! The proof of the proof: an engine with a known mistake must not pass.
//!
//! Each of eight mistakes is made in a run of its own that aims at it. One that passes shows that the checker would not have
//! noticed, so the whole fails.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use messaging::faults;
use tokio::process::Command;

use crate::VIOLATED;

/// The mistake, and the run that has to notice it.
const AIMED: [(&str, &[&str]); 8] = [
    ("publish-before-commit", &["crash", "--point", "enqueued"]),
    ("mark-before-confirm", &["crash", "--point", "claimed"]),
    ("ignore-return", &["unrouted"]),
    ("ack-before-commit", &["crash", "--point", "handled"]),
    ("no-inbox", &["crash", "--point", "done", "--each"]),
    ("cursor-polling", &["late-commit"]),
    ("no-version-guard", &["order"]),
    ("swallow-relay-error", &["lossy"]),
];

/// Whether each mistake was caught.
pub(crate) async fn run(seed: u64) -> Result<bool> {
    let mut caught = 0;
    for (mistake, aimed) in AIMED {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--quick", "--seed", &seed.to_string(), "--patience", "8"])
            .args(aimed)
            .env(faults::BROKEN, mistake)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.context("starting the aimed run")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let verdict = said.lines().last().unwrap_or("no verdict");
        if output.status.code() == Some(VIOLATED.into()) {
            caught += 1;
            println!("caught {mistake}: {verdict}");
        } else {
            let complaint = String::from_utf8_lossy(&output.stderr);
            println!(
                "NOT CAUGHT {mistake} ({}): {verdict} {complaint}",
                output.status
            );
        }
    }
    println!("broken: {caught} of {} caught", AIMED.len());
    Ok(caught == AIMED.len())
}
