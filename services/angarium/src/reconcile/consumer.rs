//! The repair of one consumer: lost checkpoints first, because they say what is missing; then what is missing, then what others wait
//! for, then what was asked for beside that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Context as _;
use contracts::ops::v1::ops_service_client::OpsServiceClient;
use contracts::ops::v1::{
    HandOverRequest, ListCheckpointsRequest, ListGapsRequest, ListMissingEventsRequest,
    ListStoredEventsRequest, StoredEvent, VersionGap,
};
use service::{Definition, time};
use tonic::transport::Channel;

use super::command::Reconcile;
use super::operator::Operator;
use super::report::Report;
use crate::registry::SERVICES;

/// The most missing events that are looked for at once.
const PAGE: i32 = 1000;
/// The most bytes of the events of one call: a service takes requests of 1 MiB.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH: usize = 100;
/// Between two lines of progress.
const LINE: Duration = Duration::from_secs(2);

pub(super) struct Consumer<'a> {
    operator: &'a mut Operator,
    asked: &'a Reconcile,
    service: &'a Definition,
    progress: &'a mut dyn FnMut(String),
    last_line: Instant,
    report: Report,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(
        operator: &'a mut Operator,
        asked: &'a Reconcile,
        service: &'a Definition,
        progress: &'a mut dyn FnMut(String),
    ) -> Self {
        let report = Report {
            consumer: service.queue(),
            ..Report::default()
        };
        Self {
            operator,
            asked,
            service,
            progress,
            last_line: Instant::now(),
            report,
        }
    }

    pub(super) async fn reconcile(mut self) -> anyhow::Result<Report> {
        self.follow_lost_checkpoints().await?;
        self.hand_over_missing().await?;
        self.fill_versions().await?;
        self.hand_over_asked().await?;
        Ok(self.report)
    }

    fn itself(&self) -> anyhow::Result<OpsServiceClient<Channel>> {
        let service = self.operator.service(self.service.name);
        service.context("every service of the registry is connected")
    }

    /// `None` where this system has no such producer, which is reported.
    fn producer(&mut self, name: &str) -> Option<OpsServiceClient<Channel>> {
        let producer = self.operator.service(name);
        let unknown = &mut self.report.unknown_producers;
        if producer.is_none() && !unknown.iter().any(|known| known == name) {
            unknown.push(name.to_owned());
        }
        producer
    }

    async fn follow_lost_checkpoints(&mut self) -> anyhow::Result<()> {
        let request = self.operator.call(ListGapsRequest {}).await?;
        let gaps = self.itself()?.list_gaps(request).await?.into_inner();
        for gap in gaps.checkpoint_gaps {
            let Some(mut producer) = self.producer(&gap.source) else {
                continue;
            };
            let (mut first, mut found) = (gap.first_number, 0);
            while first > 0 {
                let request = ListCheckpointsRequest {
                    exchange: gap.exchange.clone(),
                    first_number: first,
                    last_number: gap.last_number,
                };
                let request = self.operator.call(request).await?;
                let page = producer.list_checkpoints(request).await?.into_inner();
                found += page.checkpoints.len() as u64;
                first = page.next_number;
                if self.asked.dry_run || page.checkpoints.is_empty() {
                    continue;
                }
                let handing = HandOverRequest {
                    checkpoints: page.checkpoints,
                    source: gap.source.clone(),
                    reason: self.asked.reason.clone(),
                    ..HandOverRequest::default()
                };
                let handing = self.operator.call(handing).await?;
                self.itself()?.hand_over(handing).await?;
            }
            self.report.checkpoints += found;
            let all = u64::try_from(gap.last_number - gap.first_number + 1).unwrap_or(0);
            self.report.gone_checkpoints += all.saturating_sub(found);
        }
        Ok(())
    }

    async fn hand_over_missing(&mut self) -> anyhow::Result<()> {
        let mut after_event_id = String::new();
        loop {
            let request = ListMissingEventsRequest {
                page_size: PAGE,
                after_event_id: after_event_id.clone(),
            };
            let request = self.operator.call(request).await?;
            let page = self.itself()?.list_missing_events(request).await?;
            let page = page.into_inner().events;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after_event_id.clone_from(&last.event_id);
            let mut by_checkpoint: BTreeMap<(String, i64), BTreeMap<String, String>> =
                BTreeMap::new();
            for event in page {
                let place = (event.source, event.checkpoint_number);
                let of_place = by_checkpoint.entry(place).or_default();
                of_place.insert(event.event_id, event.event_type);
            }
            for ((source, number), mut wanted) in by_checkpoint {
                let Some(mut producer) = self.producer(&source) else {
                    continue;
                };
                let mut request = ListStoredEventsRequest {
                    checkpoint_number: number,
                    ..ListStoredEventsRequest::default()
                };
                loop {
                    let call = self.operator.call(request.clone()).await?;
                    let stored = producer.list_stored_events(call).await?.into_inner();
                    let events = stored.events.into_iter();
                    let events = events.filter(|event| wanted.remove(&event.event_id).is_some());
                    self.hand_over(events.collect()).await?;
                    request.after_position = stored.next_position;
                    if request.after_position == 0 {
                        break;
                    }
                }
                for event_type in wanted.into_values() {
                    *self.report.gone.entry(event_type).or_default() += 1;
                }
            }
        }
    }

    /// What the events of an aggregate wait for may be older than the checkpoints that this consumer knows.
    async fn fill_versions(&mut self) -> anyhow::Result<()> {
        let request = self.operator.call(ListGapsRequest {}).await?;
        let gaps = self.itself()?.list_gaps(request).await?.into_inner();
        for gap in gaps.version_gaps {
            let Some(mut producer) = self.producer(&gap.source) else {
                continue;
            };
            let request = ListStoredEventsRequest {
                aggregate_type: gap.aggregate_type.clone(),
                aggregate_id: gap.aggregate_id.clone(),
                from_version: gap.position + 1,
                ..ListStoredEventsRequest::default()
            };
            let stored = self.all(&mut producer, request).await?;
            let found: BTreeSet<i64> = stored.iter().map(|event| event.aggregate_version).collect();
            if let Some(lost) = lost(&gap, &found) {
                self.report.waiting.push(lost);
            }
            self.hand_over(stored).await?;
        }
        Ok(())
    }

    async fn hand_over_asked(&mut self) -> anyhow::Result<()> {
        let mut requests = Vec::new();
        if let Some(since) = self.asked.since {
            let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
            let since_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
            requests.push(ListStoredEventsRequest {
                published_after: Some(time::timestamp(since_ms)),
                ..ListStoredEventsRequest::default()
            });
        }
        if let Some((kind, id)) = &self.asked.aggregate {
            requests.push(ListStoredEventsRequest {
                aggregate_type: kind.clone(),
                aggregate_id: id.clone(),
                ..ListStoredEventsRequest::default()
            });
        }
        for mut request in requests {
            for producer in SERVICES {
                let Some(mut producer) = self.producer(producer.definition.name) else {
                    continue;
                };
                loop {
                    let call = self.operator.call(request.clone()).await?;
                    let page = producer.list_stored_events(call).await?.into_inner();
                    self.hand_over(page.events).await?;
                    request.after_position = page.next_position;
                    if request.after_position == 0 {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    async fn all(
        &mut self,
        producer: &mut OpsServiceClient<Channel>,
        mut request: ListStoredEventsRequest,
    ) -> anyhow::Result<Vec<StoredEvent>> {
        let mut events = Vec::new();
        loop {
            let call = self.operator.call(request.clone()).await?;
            let page = producer.list_stored_events(call).await?.into_inner();
            events.extend(page.events);
            request.after_position = page.next_position;
            if request.after_position == 0 {
                return Ok(events);
            }
        }
    }

    /// In batches that a service takes, and not faster than was asked for.
    async fn hand_over(&mut self, events: Vec<StoredEvent>) -> anyhow::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for event in events {
            bytes += event.body.len();
            batch.push(event);
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                self.hand_over_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            self.hand_over_batch(batch).await?;
        }
        Ok(())
    }

    async fn hand_over_batch(&mut self, events: Vec<StoredEvent>) -> anyhow::Result<()> {
        let begun = Instant::now();
        let handed = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let request = HandOverRequest {
            events,
            reason: self.asked.reason.clone(),
            dry_run: self.asked.dry_run,
            ..HandOverRequest::default()
        };
        let request = self.operator.call(request).await?;
        let answer = self.itself()?.hand_over(request).await?.into_inner();
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        self.report.handed_over += count(answer.new_events);
        self.report.known += count(answer.known_events);
        self.report.erased += count(answer.erased_events);
        if self.last_line.elapsed() >= LINE {
            self.last_line = Instant::now();
            let Report {
                consumer,
                handed_over,
                known,
                ..
            } = &self.report;
            (self.progress)(format!(
                "{consumer}: {handed_over} handed over, {known} had arrived"
            ));
        }
        let least = Duration::from_secs(1) * handed / self.asked.rate;
        tokio::time::sleep(least.saturating_sub(begun.elapsed())).await;
        Ok(())
    }
}

/// The versions that nothing has, for a person.
fn lost(gap: &VersionGap, found: &BTreeSet<i64>) -> Option<String> {
    let versions = gap.position + 1..gap.waiting_version;
    let lost: Vec<String> = versions
        .filter(|version| !found.contains(version))
        .map(|version| version.to_string())
        .collect();
    if lost.is_empty() {
        return None;
    }
    let (kind, id) = (&gap.aggregate_type, &gap.aggregate_id);
    Some(format!("version {} of {kind}/{id}", lost.join(", ")))
}
