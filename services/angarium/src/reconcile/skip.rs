//! `angarium reconcile skip`: gives up what nothing can bring back, and records the decision.

use anyhow::Context as _;
use contracts::ops::v1::SkipGapRequest;
use service::Definition;

use super::command::Skip;
use super::operator::Operator;
use crate::registry::SERVICES;

pub(super) async fn skip(operator: &mut Operator, asked: &Skip) -> anyhow::Result<String> {
    let service = consumer(&asked.consumer)?;
    let mut request = SkipGapRequest {
        reason: asked.reason.clone(),
        ..SkipGapRequest::default()
    };
    let mut what = String::new();
    if let Some((kind, id)) = &asked.aggregate {
        (request.aggregate_type, request.aggregate_id) = (kind.clone(), id.clone());
        what = format!("the versions that {kind}/{id} waits for");
    }
    if let Some(event_id) = asked.event {
        request.event_id = event_id.to_string();
        what = format!("event {event_id}");
    }
    if let Some((source, exchange, first)) = &asked.checkpoints {
        (request.source, request.exchange) = (source.clone(), exchange.clone());
        request.first_number = *first;
        what = format!("the checkpoints of {source} on {exchange} from {first} on");
    }
    operator.ask(service.name, request).await?;
    Ok(format!(
        "{}: {what} given up, for the record",
        asked.consumer
    ))
}

pub(super) fn consumer(queue: &str) -> anyhow::Result<&'static Definition> {
    let mut services = SERVICES.iter().map(|service| &service.definition);
    let service = services.find(|service| service.queue() == queue);
    service.with_context(|| format!("no service has the queue {queue}"))
}
