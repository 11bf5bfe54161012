//! Restored producers: the events, by aggregate, that a consumer has received and their producer has lost.
//!
//! The producer compares them with its outbox and history. Events that its retention may have deleted do not count.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use contracts::ops::v1::{
    DivergedProducer, FindLostEventsRequest, ListCheckpointsRequest, ListGapsRequest,
    ListReceivedEventsRequest, LostEvent,
};
use messaging::repair::read_checkpoint;
use serde::Serialize;
use service::{Definition, time};

use super::command::{self, concerns};
use super::consumer::Consumer;
use super::operator::{Operator, Refusal};
use crate::registry::SERVICES;

const PAGE: i32 = 200;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Aggregate {
    pub(super) consumer: String,
    pub(super) producer: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
    /// By version.
    pub(super) lost: BTreeMap<i64, Lost>,
    /// The last version that both know.
    pub(super) common_version: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    pub(super) event_id: String,
    /// The event that has the version now.
    pub(super) reused_by: Option<String>,
}

pub(super) async fn list(
    operator: &mut Operator,
    asked: &command::Divergence,
) -> anyhow::Result<String> {
    let mut found = Vec::new();
    for service in SERVICES.iter().map(|service| &service.definition) {
        if !concerns(&asked.listing.consumer, &service.queue()) {
            continue;
        }
        for (producer, from_ms) in producers(operator, service, asked.since).await? {
            found.extend(find(operator, service, &producer, from_ms).await?);
        }
    }
    if asked.listing.json {
        return Ok(serde_json::to_string_pretty(&found)?);
    }
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    match lines.is_empty() {
        true => Ok("no producer has lost events that a consumer has received".to_owned()),
        false => Ok(lines.join("\n")),
    }
}

/// The producers to compare with a consumer, and from which time on: all from `since` on, or those that have repeated a
/// checkpoint, from the last common one on.
pub(super) async fn producers(
    operator: &mut Operator,
    consumer: &Definition,
    since: Option<SystemTime>,
) -> Result<BTreeMap<String, i64>, Refusal> {
    if let Some(since) = since {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let from_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let names = SERVICES.iter().map(|service| service.definition.name);
        return Ok(names.map(|name| (name.to_owned(), from_ms)).collect());
    }
    let gaps = operator.ask(consumer.name, ListGapsRequest {}).await?;
    let mut producers = BTreeMap::new();
    for diverged in gaps.diverged_producers {
        if !operator.knows(&diverged.source) {
            continue;
        }
        let from_ms = last_common_ms(operator, &diverged).await?;
        let earliest = producers.entry(diverged.source).or_insert(from_ms);
        *earliest = from_ms.min(*earliest);
    }
    Ok(producers)
}

/// 0 if the producer no longer has it.
async fn last_common_ms(
    operator: &mut Operator,
    diverged: &DivergedProducer,
) -> Result<i64, Refusal> {
    let number = diverged.first_number - 1;
    if number < 1 {
        return Ok(0);
    }
    let request = ListCheckpointsRequest {
        exchange: diverged.exchange.clone(),
        first_number: number,
        last_number: number,
    };
    let answer = operator.ask(&diverged.source, request).await?;
    let common = answer.checkpoints.first();
    let common = common.and_then(|bytes| read_checkpoint(bytes));
    Ok(common.map_or(0, |checkpoint| checkpoint.stamp))
}

pub(super) async fn find(
    operator: &mut Operator,
    consumer: &Definition,
    producer: &str,
    from_ms: i64,
) -> Result<Vec<Aggregate>, Refusal> {
    let mut request = ListReceivedEventsRequest {
        source: producer.to_owned(),
        created_after: Some(time::timestamp(from_ms)),
        page_size: PAGE,
        ..ListReceivedEventsRequest::default()
    };
    let mut lost: BTreeMap<(String, String), BTreeMap<i64, Lost>> = BTreeMap::new();
    let mut last_handled: BTreeMap<(String, String), i64> = BTreeMap::new();
    loop {
        let events = operator.ask(consumer.name, request.clone()).await?.events;
        let Some(last) = events.last() else {
            break;
        };
        request.after_event_id.clone_from(&last.event_id);
        let received = events.clone();
        let finding = FindLostEventsRequest { events };
        let found = operator.ask(producer, finding).await?.events;
        let is_lost = |id: &String| found.iter().any(|event| event.event_id == *id);
        for event in received {
            if !event.handled || is_lost(&event.event_id) {
                continue;
            }
            let aggregate = (event.aggregate_type, event.aggregate_id);
            let version = last_handled.entry(aggregate).or_default();
            *version = event.aggregate_version.max(*version);
        }
        for event in found {
            let aggregate = (event.aggregate_type.clone(), event.aggregate_id.clone());
            let versions = lost.entry(aggregate).or_default();
            versions.insert(event.aggregate_version, Lost::from(event));
        }
    }
    let aggregates = lost.into_iter().map(|(aggregate, lost)| {
        let received = last_handled.get(&aggregate).copied().unwrap_or(0);
        // Versions have no gaps, so all below the first lost one are common.
        let below = lost.keys().next().map_or(0, |first| first - 1);
        let (aggregate_type, aggregate_id) = aggregate;
        Aggregate {
            consumer: consumer.queue(),
            producer: producer.to_owned(),
            aggregate_type,
            aggregate_id,
            lost,
            common_version: received.max(below),
        }
    });
    Ok(aggregates.collect())
}

impl From<LostEvent> for Lost {
    fn from(event: LostEvent) -> Self {
        let other = event.other_event_id;
        Self {
            event_id: event.event_id,
            reused_by: (!other.is_empty()).then_some(other),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions = self
            .lost
            .iter()
            .map(|(version, lost)| match lost.reused_by {
                Some(_) => format!("{version} (used again)"),
                None => version.to_string(),
            });
        let versions: Vec<String> = versions.collect();
        write!(
            formatter,
            "{}: {} has lost version {} of {}/{}; version {} is the last one that both know",
            self.consumer,
            self.producer,
            versions.join(", "),
            self.aggregate_type,
            self.aggregate_id,
            self.common_version
        )
    }
}

impl Consumer<'_> {
    /// An operator decides about them.
    pub(super) async fn count_diverged(&mut self) -> Result<(), Refusal> {
        match count(self.operator, self.service).await {
            Err(Refusal::Away(service, _)) if service != self.service.name => {
                self.report.unreachable.insert(service);
            }
            counted => self.report.diverged = counted?,
        }
        Ok(())
    }
}

async fn count(
    operator: &mut Operator,
    consumer: &Definition,
) -> Result<BTreeMap<String, u64>, Refusal> {
    let mut counted = BTreeMap::new();
    for (producer, from_ms) in producers(operator, consumer, None).await? {
        let found = find(operator, consumer, &producer, from_ms).await?;
        counted.insert(producer, found.len() as u64);
    }
    Ok(counted)
}
