//! `angarium.ops.v1.OpsService`, which every service serves: reads and repairs for operators.
//!
//! Guarantee: only operators may call it. A change leaves a record with the operator's id and reason.

use contracts::Validate as _;
use contracts::ops::v1::ops_service_server::{OpsService, OpsServiceServer};
use contracts::ops::v1::{
    AcceptStateRequest, AcceptStateResponse, FindLostEventsRequest, FindLostEventsResponse,
    HandOverRequest, HandOverResponse, ListCheckpointsRequest, ListCheckpointsResponse,
    ListGapsRequest, ListGapsResponse, ListMissingEventsRequest, ListMissingEventsResponse,
    ListReceivedEventsRequest, ListReceivedEventsResponse, ListStateRequest, ListStateResponse,
    ListStoredEventsRequest, ListStoredEventsResponse, SkipGapRequest, SkipGapResponse,
};
use messaging::repair::{By, History, Page, Repair, Selection, TakeBack, write_checkpoint};
use runtime::auth::{Access, Rules, caller};
use runtime::status::Violations;
use store::Database;
use tonic::{Request, Response, Status};

use crate::{ListState, time};
use answer::{EVENTS, database, size};

mod answer;
mod convert;
mod restored;
mod skipping;

/// The access rules of the methods that every service serves.
pub const RULES: Rules = &[
    (
        "angarium.ops.v1.OpsService/ListStoredEvents",
        Access::Operator,
    ),
    (
        "angarium.ops.v1.OpsService/ListCheckpoints",
        Access::Operator,
    ),
    (
        "angarium.ops.v1.OpsService/ListMissingEvents",
        Access::Operator,
    ),
    ("angarium.ops.v1.OpsService/ListGaps", Access::Operator),
    ("angarium.ops.v1.OpsService/HandOver", Access::Operator),
    ("angarium.ops.v1.OpsService/SkipGap", Access::Operator),
    ("angarium.ops.v1.OpsService/ListState", Access::Operator),
    (
        "angarium.ops.v1.OpsService/ListReceivedEvents",
        Access::Operator,
    ),
    (
        "angarium.ops.v1.OpsService/FindLostEvents",
        Access::Operator,
    ),
    ("angarium.ops.v1.OpsService/AcceptState", Access::Operator),
];

const MISSING: u16 = 1000;
const GAPS: u16 = 1000;
const CHECKPOINTS: i64 = 20;

pub(crate) struct Ops {
    pub(crate) history: History,
    pub(crate) repair: Repair,
    pub(crate) database: Database,
    pub(crate) state: Option<ListState>,
    pub(crate) take_back: Option<TakeBack>,
}

impl Ops {
    pub(crate) fn server(self) -> OpsServiceServer<Self> {
        OpsServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl OpsService for Ops {
    async fn list_stored_events(
        &self,
        request: Request<ListStoredEventsRequest>,
    ) -> Result<Response<ListStoredEventsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let selection = selection(&request, &mut violations);
        violations.into_result()?;
        let limit = size(request.page_size, EVENTS, EVENTS);
        let page = self.history.page(&selection, request.after_position, limit);
        let Page { events, next } = page.await.map_err(database)?;
        Ok(Response::new(ListStoredEventsResponse {
            events: events.iter().filter_map(convert::stored_event).collect(),
            next_position: next.unwrap_or(0),
        }))
    }

    async fn list_checkpoints(
        &self,
        request: Request<ListCheckpointsRequest>,
    ) -> Result<Response<ListCheckpointsResponse>, Status> {
        let request = request.into_inner();
        Violations::of(request.violations()).into_result()?;
        let first = request.first_number;
        let last = request
            .last_number
            .min(first.saturating_add(CHECKPOINTS - 1));
        let checkpoints = self
            .history
            .checkpoints(&request.exchange, first, last)
            .await;
        let checkpoints = checkpoints.map_err(database)?;
        Ok(Response::new(ListCheckpointsResponse {
            checkpoints: checkpoints.iter().map(write_checkpoint).collect(),
            next_number: if last < request.last_number {
                last + 1
            } else {
                0
            },
        }))
    }

    async fn list_missing_events(
        &self,
        request: Request<ListMissingEventsRequest>,
    ) -> Result<Response<ListMissingEventsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let after = match request.after_event_id.as_str() {
            "" => None,
            named => Some(violations.uuid("after_event_id", named)),
        };
        violations.into_result()?;
        let limit = size(request.page_size, EVENTS, MISSING);
        let missing = self.repair.missing(after, limit).await.map_err(database)?;
        Ok(Response::new(ListMissingEventsResponse {
            events: missing.into_iter().map(convert::missing).collect(),
        }))
    }

    async fn list_gaps(
        &self,
        _: Request<ListGapsRequest>,
    ) -> Result<Response<ListGapsResponse>, Status> {
        let checkpoints = self.repair.checkpoint_gaps(GAPS).await.map_err(database)?;
        let versions = self
            .repair
            .version_gaps(None, GAPS)
            .await
            .map_err(database)?;
        let diverged = self.repair.diverged().await.map_err(database)?;
        Ok(Response::new(ListGapsResponse {
            checkpoint_gaps: checkpoints
                .into_iter()
                .map(convert::checkpoint_gap)
                .collect(),
            version_gaps: versions.into_iter().map(convert::version_gap).collect(),
            diverged_producers: diverged.into_iter().map(convert::diverged).collect(),
        }))
    }

    async fn hand_over(
        &self,
        request: Request<HandOverRequest>,
    ) -> Result<Response<HandOverResponse>, Status> {
        let actor = caller(&request)?.user_id.to_string();
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        if !request.checkpoints.is_empty() && request.source.is_empty() {
            violations.add("source", "names the producer of the checkpoints");
        }
        let events = convert::events(request.events, &mut violations);
        let checkpoints = convert::checkpoints(&request.checkpoints, &mut violations);
        violations.into_result()?;
        let by = By {
            actor,
            reason: request.reason,
        };
        let handed = self.repair.hand_over(&events, &by, request.dry_run).await;
        let handed = handed.map_err(database)?;
        if !request.dry_run {
            for checkpoint in &checkpoints {
                let followed = self.repair.follow(&request.source, checkpoint).await;
                followed.map_err(database)?;
            }
        }
        Ok(Response::new(convert::handed(handed)))
    }

    async fn skip_gap(
        &self,
        request: Request<SkipGapRequest>,
    ) -> Result<Response<SkipGapResponse>, Status> {
        skipping::skip(&self.repair, request).await
    }

    async fn list_state(
        &self,
        request: Request<ListStateRequest>,
    ) -> Result<Response<ListStateResponse>, Status> {
        restored::state(&self.database, self.state, request).await
    }

    async fn list_received_events(
        &self,
        request: Request<ListReceivedEventsRequest>,
    ) -> Result<Response<ListReceivedEventsResponse>, Status> {
        restored::received(&self.repair, request).await
    }

    async fn find_lost_events(
        &self,
        request: Request<FindLostEventsRequest>,
    ) -> Result<Response<FindLostEventsResponse>, Status> {
        restored::lost(&self.history, request).await
    }

    async fn accept_state(
        &self,
        request: Request<AcceptStateRequest>,
    ) -> Result<Response<AcceptStateResponse>, Status> {
        restored::accept(&self.repair, self.take_back, request).await
    }
}

fn selection(request: &ListStoredEventsRequest, violations: &mut Violations) -> Selection {
    let named = [
        request.checkpoint_number > 0,
        !request.aggregate_id.is_empty(),
        request.published_after.is_some(),
    ];
    if named.iter().filter(|named| **named).count() != 1 {
        let what = "exactly one of checkpoint_number, aggregate_id and published_after is set";
        violations.add("checkpoint_number", what);
    }
    match named {
        [true, ..] => Selection::Checkpoint(request.checkpoint_number),
        [_, true, _] => Selection::Aggregate {
            aggregate_type: request.aggregate_type.clone(),
            aggregate_id: request.aggregate_id.clone(),
            from: request.from_version,
        },
        _ => Selection::Since(time::unix_ms(request.published_after)),
    }
}
