//! The repair of one consumer: lost checkpoints first, because they say what is missing; then missing events, awaited
//! versions, restored producers, and what was requested beside that.

use std::time::{Duration, Instant};

use contracts::ops::v1::{HandOverRequest, HandOverResponse, ListStoredEventsRequest, StoredEvent};
use service::Definition;

use super::calls::Call;
use super::command::Repair;
use super::operator::{Operator, Refusal};
use super::report::Report;

/// Per call: a service takes requests of 1 MiB.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH: usize = 100;
/// Between two lines of progress.
const LINE: Duration = Duration::from_secs(2);

pub(super) struct Consumer<'a> {
    pub(super) operator: &'a mut Operator,
    pub(super) asked: &'a Repair,
    pub(super) service: &'a Definition,
    pub(super) report: Report,
    progress: &'a mut dyn FnMut(String),
    last_line: Instant,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(
        operator: &'a mut Operator,
        asked: &'a Repair,
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
            report,
            progress,
            last_line: Instant::now(),
        }
    }

    /// If the consumer does not answer, the report has what was done until then.
    pub(super) async fn reconcile(mut self) -> anyhow::Result<Report> {
        match self.all_steps().await {
            Ok(()) => {}
            Err(Refusal::Away(service, status)) if service == self.service.name => {
                self.report.unreachable.insert(service);
                self.report.ended = Some(status.message().to_owned());
            }
            Err(refusal) => return Err(refusal.into()),
        }
        Ok(self.report)
    }

    async fn all_steps(&mut self) -> Result<(), Refusal> {
        self.follow_lost_checkpoints().await?;
        self.hand_over_missing().await?;
        self.fill_versions().await?;
        self.count_diverged().await?;
        self.hand_over_requested().await
    }

    pub(super) async fn at_consumer<C: Call>(&mut self, call: C) -> Result<C::Answer, Refusal> {
        self.operator.ask(self.service.name, call).await
    }

    /// `None` if the producer is unknown or does not answer: the report names it.
    pub(super) async fn at_producer<C: Call>(
        &mut self,
        name: &str,
        call: C,
    ) -> Result<Option<C::Answer>, Refusal> {
        if !self.operator.knows(name) {
            self.report.unknown_producers.insert(name.to_owned());
            return Ok(None);
        }
        match self.operator.ask(name, call).await {
            Err(Refusal::Away(service, _)) if service != self.service.name => {
                self.report.unreachable.insert(service);
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    /// All events that the producer answers, page by page. Returns the versions.
    pub(super) async fn hand_over_stored(
        &mut self,
        producer: &str,
        mut request: ListStoredEventsRequest,
    ) -> Result<Option<Vec<i64>>, Refusal> {
        let mut versions = Vec::new();
        loop {
            let page = self.at_producer(producer, request.clone()).await?;
            let Some(page) = page else {
                return Ok(None);
            };
            versions.extend(page.events.iter().map(|event| event.aggregate_version));
            self.hand_over(page.events).await?;
            request.after_position = page.next_position;
            if request.after_position == 0 {
                return Ok(Some(versions));
            }
        }
    }

    /// In batches, and at most at the requested rate. Returns the number of new events.
    pub(super) async fn hand_over(&mut self, events: Vec<StoredEvent>) -> Result<u64, Refusal> {
        let (mut batch, mut bytes, mut new) = (Vec::new(), 0, 0);
        for event in events {
            bytes += event.body.len();
            batch.push(event);
            if batch.len() == BATCH || bytes >= BATCH_BYTES {
                new += self.hand_over_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
        }
        if !batch.is_empty() {
            new += self.hand_over_batch(batch).await?;
        }
        Ok(new)
    }

    async fn hand_over_batch(&mut self, events: Vec<StoredEvent>) -> Result<u64, Refusal> {
        let begun = Instant::now();
        let handed = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let request = HandOverRequest {
            events,
            reason: self.asked.reason.clone(),
            dry_run: self.asked.dry_run,
            ..HandOverRequest::default()
        };
        let answer: HandOverResponse = self.at_consumer(request).await?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let new = count(answer.new_events);
        self.report.handed_over += new;
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
        Ok(new)
    }
}
