//! The state of a service for consumers that no event helps, and the decisions after a restored database.

use contracts::Validate as _;
use contracts::ops::v1::{
    AcceptStateRequest, AcceptStateResponse, FindLostEventsRequest, FindLostEventsResponse,
    ListReceivedEventsRequest, ListReceivedEventsResponse, ListStateRequest, ListStateResponse,
};
use messaging::repair::{Accepted, By, History, Repair, Restored, TakeBack};
use runtime::auth::caller;
use runtime::status::Violations;
use store::Database;
use tonic::{Request, Response, Status};

use super::answer::{EVENTS, database, size};
use super::convert;
use crate::{ListState, OfState, time};

const RECEIVED: u16 = 200;

pub(super) async fn state(
    db: &Database,
    state: Option<ListState>,
    request: Request<ListStateRequest>,
) -> Result<Response<ListStateResponse>, Status> {
    let request = request.into_inner();
    Violations::of(request.violations()).into_result()?;
    let Some(list) = state else {
        return Ok(Response::new(ListStateResponse::default()));
    };
    let of = match request.aggregate_id.as_str() {
        "" => OfState::After(&request.after_aggregate_id),
        one => OfState::One(one),
    };
    let state = list(db, of, size(request.page_size, EVENTS, EVENTS)).await;
    let state = state.map_err(database)?;
    Ok(Response::new(ListStateResponse {
        events: state.iter().filter_map(convert::stored_event).collect(),
    }))
}

pub(super) async fn received(
    repair: &Repair,
    request: Request<ListReceivedEventsRequest>,
) -> Result<Response<ListReceivedEventsResponse>, Status> {
    let request = request.into_inner();
    let mut violations = Violations::of(request.violations());
    let after = match request.after_event_id.as_str() {
        "" => None,
        named => Some(violations.uuid("after_event_id", named)),
    };
    violations.into_result()?;
    let from_ms = time::unix_ms(request.created_after);
    let limit = size(request.page_size, EVENTS, RECEIVED);
    let received = repair.received(&request.source, from_ms, after, limit);
    let received = received.await.map_err(database)?;
    Ok(Response::new(ListReceivedEventsResponse {
        events: received.into_iter().map(convert::received).collect(),
    }))
}

pub(super) async fn lost(
    history: &History,
    request: Request<FindLostEventsRequest>,
) -> Result<Response<FindLostEventsResponse>, Status> {
    let request = request.into_inner();
    let mut violations = Violations::of(request.violations());
    let events = convert::received_ones(request.events, &mut violations);
    violations.into_result()?;
    let lost = history.lost(&events).await.map_err(database)?;
    Ok(Response::new(FindLostEventsResponse {
        events: lost.into_iter().map(convert::lost).collect(),
    }))
}

pub(super) async fn accept(
    repair: &Repair,
    take_back: Option<TakeBack>,
    request: Request<AcceptStateRequest>,
) -> Result<Response<AcceptStateResponse>, Status> {
    let actor = caller(&request)?.user_id.to_string();
    let request = request.into_inner();
    let mut violations = Violations::of(request.violations());
    let state = convert::events(request.state.into_iter().collect(), &mut violations);
    violations.into_result()?;
    let accepted = Accepted {
        restored: Restored {
            aggregate_type: &request.aggregate_type,
            aggregate_id: &request.aggregate_id,
            version: request.common_version,
            exists: !state.is_empty(),
        },
        state: state.into_iter().next(),
        lost: request.lost_event_ids,
    };
    let by = By {
        actor,
        reason: request.reason,
    };
    let retried = repair.accept_state(&accepted, take_back, &by).await;
    let retried = retried.map_err(database)?;
    Ok(Response::new(AcceptStateResponse {
        retried_events: i64::try_from(retried).unwrap_or(i64::MAX),
    }))
}
