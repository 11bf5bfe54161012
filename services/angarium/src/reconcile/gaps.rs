//! `angarium reconcile gaps`: what each consumer lacks, and whether its producer can still fill it. It changes nothing.
//! Events may arrive meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use contracts::ops::v1::{
    CheckpointGap, ListCheckpointsRequest, ListGapsRequest, ListMissingEventsRequest,
    ListStoredEventsRequest, MissingEvent, VersionGap,
};
use serde::Serialize;

use super::command::{Listing, concerns};
use super::missing::lost;
use super::operator::{Operator, Refusal};
use crate::registry::SERVICES;

const RECONCILE: &str = "its producer has it: angarium reconcile hands it over";
const MOST: i32 = 1000;

#[derive(Debug, Serialize)]
struct Gap {
    consumer: String,
    producer: String,
    gap: String,
    /// What repairs it.
    explanation: String,
}

pub(super) async fn list(operator: &mut Operator, asked: &Listing) -> anyhow::Result<String> {
    let mut gaps = Vec::new();
    for service in SERVICES.iter().map(|service| &service.definition) {
        let queue = service.queue();
        if concerns(&asked.consumer, &queue) {
            of_consumer(operator, service.name, &queue, &mut gaps).await?;
        }
    }
    if asked.json {
        return Ok(serde_json::to_string_pretty(&gaps)?);
    }
    let lines = gaps.iter().map(|gap| {
        let Gap {
            consumer,
            producer,
            gap,
            explanation,
        } = gap;
        format!("{consumer}: {gap}, from {producer}: {explanation}")
    });
    let lines: Vec<String> = lines.collect();
    match lines.is_empty() {
        true => Ok("no gaps".to_owned()),
        false => Ok(lines.join("\n")),
    }
}

async fn of_consumer(
    operator: &mut Operator,
    service: &str,
    queue: &str,
    gaps: &mut Vec<Gap>,
) -> Result<(), Refusal> {
    let answer = operator.ask(service, ListGapsRequest {}).await?;
    for gap in answer.checkpoint_gaps {
        gaps.push(of_checkpoints(operator, queue, &gap).await?);
    }
    let mut request = ListMissingEventsRequest {
        page_size: MOST,
        ..ListMissingEventsRequest::default()
    };
    loop {
        let page = operator.ask(service, request.clone()).await?.events;
        let Some(last) = page.last() else {
            break;
        };
        request.after_event_id.clone_from(&last.event_id);
        of_events(operator, queue, page, gaps).await?;
    }
    for gap in answer.version_gaps {
        gaps.push(of_versions(operator, queue, &gap).await?);
    }
    for producer in answer.diverged_producers {
        gaps.push(Gap {
            consumer: queue.to_owned(),
            gap: format!("checkpoint {} came again", producer.first_number),
            producer: producer.source,
            explanation:
                "its database was restored: angarium reconcile divergence lists what it has lost"
                    .to_owned(),
        });
    }
    Ok(())
}

async fn of_checkpoints(
    operator: &mut Operator,
    queue: &str,
    gap: &CheckpointGap,
) -> Result<Gap, Refusal> {
    let (source, exchange) = (&gap.source, &gap.exchange);
    let (first, last) = (gap.first_number, gap.last_number);
    let request = ListCheckpointsRequest {
        exchange: exchange.clone(),
        first_number: first,
        last_number: first,
    };
    let explanation = match answer(operator, source, request).await? {
        Err(why) => why,
        Ok(page) if !page.checkpoints.is_empty() => RECONCILE.to_owned(),
        Ok(_) => format!(
            "past the retention of its producer: angarium reconcile skip --consumer {queue} --checkpoints {source}/{exchange}/{first}"
        ),
    };
    Ok(Gap {
        consumer: queue.to_owned(),
        producer: source.clone(),
        gap: format!("checkpoints {first} to {last} of {exchange}"),
        explanation,
    })
}

/// Reads each checkpoint once.
async fn of_events(
    operator: &mut Operator,
    queue: &str,
    missing: Vec<MissingEvent>,
    gaps: &mut Vec<Gap>,
) -> Result<(), Refusal> {
    let mut by_checkpoint: BTreeMap<(String, i64), BTreeMap<String, MissingEvent>> =
        BTreeMap::new();
    for event in missing {
        let place = (event.source.clone(), event.checkpoint_number);
        let of_place = by_checkpoint.entry(place).or_default();
        of_place.insert(event.event_id.clone(), event);
    }
    for ((source, number), mut wanted) in by_checkpoint {
        let gap = |event: &MissingEvent, explanation| Gap {
            consumer: queue.to_owned(),
            producer: source.clone(),
            gap: format!("event {} ({})", event.event_id, event.event_type),
            explanation,
        };
        let mut request = ListStoredEventsRequest {
            checkpoint_number: number,
            ..ListStoredEventsRequest::default()
        };
        let mut otherwise = None;
        loop {
            let page = match answer(operator, &source, request.clone()).await? {
                Ok(page) => page,
                Err(why) => {
                    otherwise = Some(why);
                    break;
                }
            };
            for stored in page.events {
                if let Some(event) = wanted.remove(&stored.event_id) {
                    gaps.push(gap(&event, of_present(&event)));
                }
            }
            request.after_position = page.next_position;
            if request.after_position == 0 {
                break;
            }
        }
        for event in wanted.values() {
            let id = &event.event_id;
            let gone = || {
                format!(
                    "past the retention of its producer: angarium reconcile skip --consumer {queue} --event {id}"
                )
            };
            gaps.push(gap(event, otherwise.clone().unwrap_or_else(gone)));
        }
    }
    Ok(())
}

fn of_present(event: &MissingEvent) -> String {
    match event.missing_since {
        Some(_) => RECONCILE.to_owned(),
        None => "it may still arrive".to_owned(),
    }
}

async fn of_versions(
    operator: &mut Operator,
    queue: &str,
    gap: &VersionGap,
) -> Result<Gap, Refusal> {
    let (kind, id) = (&gap.aggregate_type, &gap.aggregate_id);
    let explanation = match stored_versions(operator, gap).await? {
        Err(why) => why,
        Ok(found) => match lost(gap, &found) {
            None => RECONCILE.to_owned(),
            Some(lost) => format!(
                "{lost} is stored nowhere: angarium reconcile skip --consumer {queue} --aggregate {kind}/{id}"
            ),
        },
    };
    let (waits, position) = (gap.waiting_version, gap.position);
    Ok(Gap {
        consumer: queue.to_owned(),
        producer: gap.source.clone(),
        gap: format!(
            "{kind}/{id}: {} waiting from version {waits} on, and version {position} was the last one handled",
            gap.waiting_events
        ),
        explanation,
    })
}

/// The versions that the producer has, or why they are not known.
async fn stored_versions(
    operator: &mut Operator,
    gap: &VersionGap,
) -> Result<Result<BTreeSet<i64>, String>, Refusal> {
    let mut request = ListStoredEventsRequest {
        aggregate_type: gap.aggregate_type.clone(),
        aggregate_id: gap.aggregate_id.clone(),
        from_version: gap.position + 1,
        ..ListStoredEventsRequest::default()
    };
    let mut found = BTreeSet::new();
    loop {
        let page = match answer(operator, &gap.source, request.clone()).await? {
            Ok(page) => page,
            Err(why) => return Ok(Err(why)),
        };
        found.extend(page.events.iter().map(|event| event.aggregate_version));
        request.after_position = page.next_position;
        if request.after_position == 0 {
            return Ok(Ok(found));
        }
    }
}

/// The answer of a producer, or why there is none.
async fn answer<C: super::calls::Call>(
    operator: &mut Operator,
    producer: &str,
    call: C,
) -> Result<Result<C::Answer, String>, Refusal> {
    if !operator.knows(producer) {
        return Ok(Err("its producer is not part of this system".to_owned()));
    }
    match operator.ask(producer, call).await {
        Err(Refusal::Away(..)) => Ok(Err("its producer does not answer".to_owned())),
        answer => answer.map(Ok),
    }
}
