//! `angarium reconcile accept`: makes a consumer follow a restored producer, and records the decision.
//!
//! For each aggregate, the position and the views of the consumer go back to the last common version; then it gets the
//! producer's later events, or its state. It can be repeated: an accepted aggregate is not listed again.

use contracts::ops::v1::{
    AcceptStateRequest, ListGapsRequest, ListStateRequest, ListStoredEventsRequest, SkipGapRequest,
};
use service::Definition;

use super::command::{Accept, Repair};
use super::consumer::Consumer;
use super::divergence::{self, Aggregate};
use super::operator::{Operator, Refusal};
use super::skip;

/// Per call.
const LOST: usize = 1000;
/// Events a second.
const RATE: u32 = 500;

pub(super) async fn accept(operator: &mut Operator, asked: &Accept) -> anyhow::Result<String> {
    let service = skip::consumer(&asked.consumer)?;
    let producers = divergence::producers(operator, service, asked.since).await?;
    let found = match producers.get(&asked.producer) {
        Some(from_ms) => divergence::find(operator, service, &asked.producer, *from_ms).await?,
        None => Vec::new(),
    };
    let meant = found.iter().filter(|one| match &asked.aggregate {
        Some((kind, id)) => one.aggregate_type == *kind && one.aggregate_id == *id,
        None => true,
    });
    let meant: Vec<&Aggregate> = meant.collect();
    if let (Some((kind, id)), true) = (&asked.aggregate, meant.is_empty()) {
        anyhow::bail!(
            "{} has lost no event of {kind}/{id} that {} has received",
            asked.producer,
            asked.consumer
        );
    }
    let mut lines = Vec::new();
    for aggregate in &meant {
        accept_one(operator, service, aggregate, &asked.reason).await?;
        lines.push(format!("{aggregate}: accepted, for the record"));
    }
    let more = meant.iter().any(|one| one.lost.len() > LOST);
    if more {
        lines.push("more events are lost: repeat the command".to_owned());
    }
    let is_all = meant.len() == found.len() && !more;
    if is_all && end_alert(operator, service, asked).await? {
        lines.push(format!(
            "{}: the alert about {} ends, for the record",
            asked.consumer, asked.producer
        ));
    }
    if lines.is_empty() {
        lines.push(format!("{}: there is nothing to accept", asked.consumer));
    }
    Ok(lines.join("\n"))
}

async fn accept_one(
    operator: &mut Operator,
    service: &Definition,
    aggregate: &Aggregate,
    reason: &str,
) -> Result<(), Refusal> {
    let request = ListStateRequest {
        aggregate_id: aggregate.aggregate_id.clone(),
        ..ListStateRequest::default()
    };
    let states = operator.ask(&aggregate.producer, request).await?.events;
    // A service may state aggregates of several types.
    let is_of_type = |routing_key: &str| {
        routing_key.split('.').next() == Some(aggregate.aggregate_type.as_str())
    };
    let state = states
        .into_iter()
        .find(|state| is_of_type(&state.routing_key));
    let lost = aggregate.lost.values().take(LOST);
    let request = AcceptStateRequest {
        aggregate_type: aggregate.aggregate_type.clone(),
        aggregate_id: aggregate.aggregate_id.clone(),
        common_version: aggregate.common_version,
        state,
        lost_event_ids: lost.map(|lost| lost.event_id.clone()).collect(),
        reason: reason.to_owned(),
    };
    operator.ask(service.name, request).await?;
    let repair = Repair {
        consumer: Vec::new(),
        since: None,
        aggregate: None,
        snapshot: false,
        dry_run: false,
        json: false,
        reason: reason.to_owned(),
        rate: RATE,
    };
    let mut quiet = |_: String| ();
    let mut consumer = Consumer::new(operator, &repair, service, &mut quiet);
    let later = ListStoredEventsRequest {
        aggregate_type: aggregate.aggregate_type.clone(),
        aggregate_id: aggregate.aggregate_id.clone(),
        from_version: aggregate.common_version + 1,
        ..ListStoredEventsRequest::default()
    };
    consumer
        .hand_over_stored(&aggregate.producer, later)
        .await?;
    Ok(())
}

async fn end_alert(
    operator: &mut Operator,
    service: &Definition,
    asked: &Accept,
) -> Result<bool, Refusal> {
    let gaps = operator.ask(service.name, ListGapsRequest {}).await?;
    let mut diverged = gaps.diverged_producers.iter();
    if !diverged.any(|one| one.source == asked.producer) {
        return Ok(false);
    }
    let request = SkipGapRequest {
        diverged_source: asked.producer.clone(),
        reason: asked.reason.clone(),
        ..SkipGapRequest::default()
    };
    operator.ask(service.name, request).await?;
    Ok(true)
}
