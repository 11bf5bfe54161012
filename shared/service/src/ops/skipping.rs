//! An operator gives up what nothing can bring back.

use contracts::Validate as _;
use contracts::ops::v1::{SkipGapRequest, SkipGapResponse};
use messaging::repair::{By, Repair};
use runtime::auth::caller;
use runtime::status::{self, Violations};
use tonic::{Request, Response, Status};

use super::answer::database;

pub(super) async fn skip(
    repair: &Repair,
    request: Request<SkipGapRequest>,
) -> Result<Response<SkipGapResponse>, Status> {
    let actor = caller(&request)?.user_id.to_string();
    let request = request.into_inner();
    let mut violations = Violations::of(request.violations());
    let event_id = match request.event_id.as_str() {
        "" => None,
        named => Some(violations.uuid("event_id", named)),
    };
    let named = [
        !request.aggregate_id.is_empty(),
        request.first_number > 0,
        event_id.is_some(),
        !request.diverged_source.is_empty(),
    ];
    if named.iter().filter(|named| **named).count() != 1 {
        violations.add(
            "aggregate_id",
            "exactly one of aggregate_id, first_number, event_id and diverged_source is set",
        );
    }
    violations.into_result()?;
    let by = By {
        actor,
        reason: request.reason,
    };
    let skipped = match named {
        [true, ..] => {
            let (kind, id) = (&request.aggregate_type, &request.aggregate_id);
            repair.skip_versions(kind, id, &by).await
        }
        [_, true, ..] => {
            let (source, exchange) = (&request.source, &request.exchange);
            let first = request.first_number;
            repair.skip_checkpoints(source, exchange, first, &by).await
        }
        [_, _, true, _] => repair.skip_event(event_id.unwrap_or_default(), &by).await,
        _ => {
            repair
                .accept_divergence(&request.diverged_source, &by)
                .await
        }
    };
    if skipped.map_err(database)? {
        return Ok(Response::new(SkipGapResponse {}));
    }
    Err(status::not_found(
        "GAP_NOT_FOUND",
        "angarium.ops.v1.Gap",
        "",
        "there is no such gap, or it is filled by now; ListGaps and ListMissingEvents show those that are there",
    ))
}
