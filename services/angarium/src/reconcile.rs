//! `angarium reconcile`: hands each consumer what has not arrived at it, from what the producers have stored.
//!
//! It calls the services, beside their other calls, and needs no access to their databases or to the broker. Guarantee: it can be
//! repeated and interrupted at any time, because a consumer takes an event once. What nothing can bring back is named.

use std::io::Write as _;

use anyhow::Context as _;

use crate::registry::SERVICES;

pub mod command;
mod consumer;
mod operator;
mod report;

use command::Reconcile;
use consumer::Consumer;
use operator::Operator;
pub use report::Report;

/// Does what was asked, and says what has changed.
///
/// # Errors
/// If a service cannot be reached or refuses, or the output cannot be written.
pub async fn run(asked: &Reconcile) -> anyhow::Result<()> {
    let reports = reconcile(asked, |line| {
        // Progress is for a person who watches.
        let _ = writeln!(std::io::stderr(), "{line}");
    })
    .await?;
    let said = match asked.json {
        true => serde_json::to_string_pretty(&reports)?,
        false => report::text(&reports, asked.dry_run),
    };
    writeln!(std::io::stdout(), "{said}").context("the answer cannot be written")
}

/// As [`run`], for a caller that reads the reports itself. `progress` gets a line now and then.
///
/// # Errors
/// Where a service cannot be reached or refuses.
pub async fn reconcile(
    asked: &Reconcile,
    mut progress: impl FnMut(String),
) -> anyhow::Result<Vec<Report>> {
    let mut operator = Operator::connect(asked).await?;
    let mut reports = Vec::new();
    for service in SERVICES.iter().map(|service| &service.definition) {
        if !asked.concerns(&service.queue()) {
            continue;
        }
        let consumer = Consumer::new(&mut operator, asked, service, &mut progress);
        reports.push(consumer.reconcile().await?);
    }
    Ok(reports)
}
