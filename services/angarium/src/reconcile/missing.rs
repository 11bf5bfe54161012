//! What a consumer lacks: lost checkpoints, missing events, and awaited versions.

use std::collections::{BTreeMap, BTreeSet};

use contracts::ops::v1::{
    CheckpointGap, HandOverRequest, ListCheckpointsRequest, ListGapsRequest,
    ListMissingEventsRequest, ListStoredEventsRequest, VersionGap,
};

use super::consumer::Consumer;
use super::operator::Refusal;

/// For one look-up.
const PAGE: i32 = 1000;

/// By checkpoint: the type of each event, by id.
type Wanted = BTreeMap<(String, i64), BTreeMap<String, String>>;

impl Consumer<'_> {
    pub(super) async fn follow_lost_checkpoints(&mut self) -> Result<(), Refusal> {
        let gaps = self.at_consumer(ListGapsRequest {}).await?;
        for gap in gaps.checkpoint_gaps {
            let Some(found) = self.follow(&gap).await? else {
                continue;
            };
            self.report.checkpoints += found;
            let all = u64::try_from(gap.last_number - gap.first_number + 1).unwrap_or(0);
            self.report.gone_checkpoints += all.saturating_sub(found);
        }
        Ok(())
    }

    /// The number of checkpoints of the gap that its producer still has. `None` if it does not answer.
    async fn follow(&mut self, gap: &CheckpointGap) -> Result<Option<u64>, Refusal> {
        let (mut first, mut found) = (gap.first_number, 0);
        while first > 0 {
            let request = ListCheckpointsRequest {
                exchange: gap.exchange.clone(),
                first_number: first,
                last_number: gap.last_number,
            };
            let Some(page) = self.at_producer(&gap.source, request).await? else {
                return Ok(None);
            };
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
            self.at_consumer(handing).await?;
        }
        Ok(Some(found))
    }

    pub(super) async fn hand_over_missing(&mut self) -> Result<(), Refusal> {
        let mut after_event_id = String::new();
        loop {
            let request = ListMissingEventsRequest {
                page_size: PAGE,
                after_event_id: after_event_id.clone(),
            };
            let page = self.at_consumer(request).await?.events;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after_event_id.clone_from(&last.event_id);
            let mut by_checkpoint = Wanted::new();
            for event in page {
                let place = (event.source, event.checkpoint_number);
                let of_place = by_checkpoint.entry(place).or_default();
                of_place.insert(event.event_id, event.event_type);
            }
            for ((source, number), wanted) in by_checkpoint {
                self.hand_over_wanted(&source, number, wanted).await?;
            }
        }
    }

    async fn hand_over_wanted(
        &mut self,
        source: &str,
        checkpoint_number: i64,
        mut wanted: BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let mut request = ListStoredEventsRequest {
            checkpoint_number,
            ..ListStoredEventsRequest::default()
        };
        loop {
            let Some(stored) = self.at_producer(source, request.clone()).await? else {
                return Ok(());
            };
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
        Ok(())
    }

    /// Awaited events may be older than the known checkpoints.
    pub(super) async fn fill_versions(&mut self) -> Result<(), Refusal> {
        let gaps = self.at_consumer(ListGapsRequest {}).await?;
        for gap in gaps.version_gaps {
            let request = ListStoredEventsRequest {
                aggregate_type: gap.aggregate_type.clone(),
                aggregate_id: gap.aggregate_id.clone(),
                from_version: gap.position + 1,
                ..ListStoredEventsRequest::default()
            };
            let Some(found) = self.hand_over_stored(&gap.source, request).await? else {
                continue;
            };
            if let Some(lost) = lost(&gap, &found.into_iter().collect()) {
                self.report.waiting.push(lost);
            }
        }
        Ok(())
    }
}

/// The versions of a gap that its producer lacks, for a person.
pub(super) fn lost(gap: &VersionGap, found: &BTreeSet<i64>) -> Option<String> {
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
