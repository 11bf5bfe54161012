//! The decisions about dead letters, also after the events are deleted.

use messaging::dead_letters::{DeadLetters, Decision};

use super::text::{PAGE, or_none, plain, time};

/// Without the event's id.
pub(super) fn about(decision: &Decision) -> String {
    let said = format!(
        "{} {} by {}: {} (was: {})",
        what(decision),
        time(decision.decided_at_ms),
        decision.actor,
        decision.reason,
        or_none(decision.cause.as_deref()),
    );
    plain(&said)
}

/// All decisions, oldest first, or those about one event.
pub(super) async fn list(
    dead_letters: &DeadLetters,
    event_id: Option<&str>,
) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    if let Some(event_id) = event_id {
        let decisions = dead_letters.decisions(event_id).await?;
        lines.extend(decisions.iter().map(line));
    } else {
        let mut after = 0;
        loop {
            let page = dead_letters.audit(after, PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = last.sequence;
            lines.extend(page.iter().map(line));
        }
    }
    if lines.is_empty() {
        return Ok("no decisions".to_owned());
    }
    Ok(lines.join("\n"))
}

fn line(decision: &Decision) -> String {
    let said = format!(
        "{}  {}  {}  {}  by {}: {} (was: {})",
        time(decision.decided_at_ms),
        decision.event_id,
        what(decision),
        decision.event_type.as_deref().unwrap_or("(no type)"),
        decision.actor,
        decision.reason,
        or_none(decision.cause.as_deref()),
    );
    plain(&said)
}

fn what(decision: &Decision) -> &'static str {
    if decision.replayed {
        "replayed"
    } else {
        "discarded"
    }
}
