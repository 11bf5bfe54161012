//! The proof of the proof: an engine with a known mistake must not pass.
//!
//! Each of nine mistakes is made in a run of its own that aims at it. One that passes shows that the checker would not have
//! noticed, so the whole fails.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use messaging::faults;
use tokio::process::Command;

use crate::VIOLATED;
use crate::summary::Outcome;

/// The mistake, and the run that has to notice it.
const AIMED: [(&str, &[&str]); 9] = [
    ("publish-before-commit", &["crash", "--point", "enqueued"]),
    ("mark-before-confirm", &["crash", "--point", "claimed"]),
    ("ignore-return", &["unrouted"]),
    ("return-by-position", &["neighbours"]),
    ("ack-before-commit", &["crash", "--point", "handled"]),
    ("no-inbox", &["crash", "--point", "done", "--each"]),
    ("cursor-polling", &["late-commit"]),
    ("no-version-guard", &["order"]),
    ("swallow-relay-error", &["lossy"]),
];

/// How often each is made, with another seed each time, and how often it must be caught.
const RUNS: u64 = 10;
const MUST: u64 = 9;

/// Makes each mistake, ten times (once for the short form).
pub(crate) async fn run(seed: u64, quick: bool) -> Result<Outcome> {
    let (runs, must) = if quick { (1, 1) } else { (RUNS, MUST) };
    let mut noticed = 0;
    for (mistake, aimed) in AIMED {
        let mut caught = 0;
        let mut last = String::new();
        for seed in seed..seed + runs {
            let (is_caught, said) = make(mistake, aimed, seed).await?;
            caught += u64::from(is_caught);
            if !is_caught {
                println!("NOT CAUGHT {mistake}, seed {seed}: {said}");
            }
            last = said;
        }
        println!("broken {mistake}: caught in {caught} of {runs}; the last said: {last}");
        noticed += usize::from(caught >= must);
    }
    let passed = noticed == AIMED.len();
    let said = format!(
        "{noticed} of {} caught, each in at least {must} of {runs} runs",
        AIMED.len()
    );
    println!("broken: {} {said}", if passed { "pass" } else { "FAIL" });
    Ok(Outcome::Answered { passed, said })
}

/// Whether the run that it is aimed at has failed, and its verdict.
async fn make(mistake: &str, aimed: &[&str], seed: u64) -> Result<(bool, String)> {
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
    // A run that did not come to its end has noticed nothing.
    if output.status.code() == Some(VIOLATED.into()) {
        return Ok((true, verdict.to_owned()));
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Ok((false, format!("({}) {verdict} {complaint}", output.status)))
}
