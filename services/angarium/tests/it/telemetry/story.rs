//! The trace of a registration and an order, span by span.

use std::fmt::Write as _;

use rstest::rstest;
use testkit::{Collector, ExportedSpan, Stack};

use super::journey::{self, EMAIL, NAME, ORDER, REGISTRATION, documented};
use crate::process::PASSWORD;

const OF_REGISTRATION: &str = "\
server angarium.user.v1.UserService/CreateUser
  client transaction [committed]
    producer create user_events (user_events:user.created)
      client publish user_events (user_events:user.created)
      consumer process notifications_queue (user_events:user.created:notifications_queue) [handled]
        client send mail
          producer create notification_events (notification_events:notification.sent)
            client publish notification_events (notification_events:notification.sent)
      consumer process orders_queue (user_events:user.created:orders_queue) [handled]
    producer create user_events (user_events:verification.requested)
      client publish user_events (user_events:verification.requested)
      consumer process notifications_queue (user_events:verification.requested:notifications_queue) [handled]
        client send mail
          producer create notification_events (notification_events:notification.sent)
            client publish notification_events (notification_events:notification.sent)
";
/// The consumers in these trees.
const QUEUES: [&str; 2] = ["notifications_queue", "orders_queue"];
const OF_ORDER: &str = "\
server angarium.order.v1.OrderService/PlaceOrder
  client transaction [committed]
    producer create order_events (order_events:expiry.elapsed)
    producer create order_events (order_events:order.placed)
      client publish order_events (order_events:order.placed)
      consumer process notifications_queue (order_events:order.placed:notifications_queue) [handled]
        client send mail
          producer create notification_events (notification_events:notification.sent)
            client publish notification_events (notification_events:notification.sent)
";

#[rstest]
#[tokio::test]
async fn one_trace_spans_a_call_to_its_last_mail(
    #[values(Stack::Embedded, Stack::Servers)] stack: Stack,
) {
    let collector = journey::take(stack, "01").await;
    let spans = collector.spans();
    assert_eq!(tree(&spans, REGISTRATION), OF_REGISTRATION);
    assert_eq!(tree(&spans, ORDER), OF_ORDER);

    for span in &spans {
        let name = span.name.as_str();
        let has = |key: &str| {
            assert!(
                span.attributes.contains_key(key),
                "{name} has no {key}: {span:?}"
            );
        };
        if name.starts_with("create ") {
            for key in ["messaging.system", "messaging.message.id", "aggregate.id"] {
                has(key);
            }
            // A command publishes within its transaction.
            let around = parent(&spans, span).filter(|parent| parent.name == "transaction");
            assert!(
                around.is_none_or(|around| around.ended_ns >= span.ended_ns),
                "{span:?}"
            );
        }
        if name.starts_with("publish ") {
            for key in [
                "messaging.system",
                "messaging.message.id",
                "angarium.outbox.wait",
            ] {
                has(key);
            }
        }
        if name.starts_with("process ") {
            for key in [
                "messaging.system",
                "messaging.operation.type",
                "angarium.queue.wait",
            ] {
                has(key);
            }
            // Its parent is also its link: the span that created the event.
            assert_eq!(span.links, [span.parent_id.as_str()], "{span:?}");
        }
        assert!(!span.is_error, "{span:?}");
    }
    // Polls and lease checks start no trace.
    for root in spans.iter().filter(|span| parent(&spans, span).is_none()) {
        assert!(root.kind == "server" || is_announcement(root), "{root:?}");
    }
    nothing_secret(&collector);
    let documented = documented("Spans");
    for span in &spans {
        let first = span.name.split(' ').next().unwrap();
        let known = documented.iter().any(|name| name.starts_with(first));
        assert!(
            known || span.kind == "server",
            "{} is not in docs/telemetry.md",
            span.name
        );
    }
}

#[tokio::test]
async fn a_caller_who_does_not_sample_is_obeyed_along_the_whole_way() {
    let collector = journey::take(Stack::Embedded, "00").await;
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.kind == "server"));
    for trace_id in [REGISTRATION, ORDER] {
        assert_eq!(tree(&spans, trace_id), "");
    }
    // Unsampled work has no trace of its own.
    let strays = spans.iter().filter(|span| parent(&spans, span).is_none());
    let strays: Vec<_> = strays
        .filter(|root| root.kind != "server" && !is_announcement(root))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}

/// No passwords, addresses, names or tokens (by their prefix).
fn nothing_secret(collector: &Collector) {
    let everything = collector.everything();
    for secret in [PASSWORD, EMAIL, NAME, "canary", "eyJ"] {
        assert!(!everything.contains(secret), "{secret} was exported");
    }
}

/// The trace of the first key, or of a request for it.
fn is_announcement(root: &ExportedSpan) -> bool {
    let destination = root.attributes.get("messaging.destination.name");
    destination.is_some_and(|name| {
        name == "user_events:key.published" || name == "key_events:key.requested"
    })
}

fn parent<'a>(spans: &'a [ExportedSpan], span: &ExportedSpan) -> Option<&'a ExportedSpan> {
    spans.iter().find(|other| other.span_id == span.parent_id)
}

/// Indented by depth; siblings are sorted by text, because parallel work has no order.
fn tree(spans: &[ExportedSpan], trace_id: &str) -> String {
    let of_trace: Vec<_> = spans
        .iter()
        .filter(|span| span.trace_id == trace_id)
        .collect();
    let roots = of_trace.iter().filter(|span| parent(spans, span).is_none());
    sorted(roots.map(|root| subtree(&of_trace, root, 0)))
}

fn subtree(spans: &[&ExportedSpan], span: &ExportedSpan, depth: usize) -> String {
    let mut text = format!("{}{} {}", "  ".repeat(depth), span.kind, span.name);
    if let Some(destination) = span.attributes.get("messaging.destination.name") {
        let _ = write!(text, " ({destination})");
    }
    if let Some(outcome) = span.attributes.get("angarium.outcome") {
        let _ = write!(text, " [{outcome}]");
    }
    text.push('\n');
    let children = spans.iter().filter(|child| child.parent_id == span.span_id);
    // Another service may consume the same events.
    let children = children.filter(|child| {
        child.kind != "consumer" || QUEUES.iter().any(|queue| child.name.ends_with(queue))
    });
    text + &sorted(children.map(|child| subtree(spans, child, depth + 1)))
}

fn sorted(subtrees: impl Iterator<Item = String>) -> String {
    let mut subtrees: Vec<String> = subtrees.collect();
    subtrees.sort();
    subtrees.concat()
}
