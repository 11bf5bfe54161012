//! `angarium reconcile`: hands each consumer the events that have not arrived, from their producers; lists gaps, and
//! records an operator's decisions about them.
//!
//! It calls the services and needs no access to databases or broker. Guarantee: it can be repeated and interrupted at
//! any time, because a consumer takes an event once. It names everything that it could not repair.

use std::io::Write as _;

use runtime::ExitWith;
use runtime::run::answer;

use crate::registry::SERVICES;

mod accept;
mod access;
mod calls;
pub mod command;
mod consumer;
mod divergence;
mod gaps;
mod missing;
mod operator;
mod report;
mod requested;
mod skip;

pub use access::Access;
use command::{Action, Reconcile};
use consumer::Consumer;
use operator::Operator;
pub use report::Report;

/// # Errors
/// If the operator is refused or the output cannot be written; with exit code 2 if something could not be repaired.
pub async fn run(asked: &Reconcile) -> anyhow::Result<()> {
    if let Some(action) = &asked.action {
        return answer(&act(asked, action).await?);
    }
    let reports = reconcile(asked, |line| {
        // For a person who watches.
        let _ = writeln!(std::io::stderr(), "{line}");
    })
    .await?;
    answer(&match asked.repair.json {
        true => serde_json::to_string_pretty(&reports)?,
        false => report::text(&reports, asked.repair.dry_run),
    })?;
    let left = reports.iter().filter(|report| !report.is_complete());
    let left: Vec<&str> = left.map(|report| report.consumer.as_str()).collect();
    if left.is_empty() {
        return Ok(());
    }
    let left = format!(
        "something is left to do for {}: the report names it",
        left.join(", ")
    );
    Err(ExitWith::incomplete(left).into())
}

/// Returns the answer.
///
/// # Errors
/// If a service cannot be reached or refuses.
pub async fn act(asked: &Reconcile, action: &Action) -> anyhow::Result<String> {
    let mut operator = Operator::connect(&asked.access).await?;
    match action {
        Action::Gaps(listing) => gaps::list(&mut operator, listing).await,
        Action::Skip(skip) => skip::skip(&mut operator, skip).await,
        Action::Divergence(listing) => divergence::list(&mut operator, listing).await,
        Action::Accept(accept) => accept::accept(&mut operator, accept).await,
    }
}

/// As [`run`] without an action. `progress` gets a line every few seconds.
///
/// # Errors
/// If the operator is refused. The report names unreachable services.
pub async fn reconcile(
    asked: &Reconcile,
    mut progress: impl FnMut(String),
) -> anyhow::Result<Vec<Report>> {
    let mut operator = Operator::connect(&asked.access).await?;
    let mut reports = Vec::new();
    for service in SERVICES.iter().map(|service| &service.definition) {
        if !command::concerns(&asked.repair.consumer, &service.queue()) {
            continue;
        }
        let consumer = Consumer::new(&mut operator, &asked.repair, service, &mut progress);
        reports.push(consumer.reconcile().await?);
    }
    Ok(reports)
}
