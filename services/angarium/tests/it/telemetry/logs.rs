//! Exported log records belong to their trace, and name their call and event.

use testkit::Stack;

use super::journey::{self, ORDER};

#[tokio::test]
async fn a_log_record_names_its_trace_its_call_and_its_event() {
    let collector = journey::take(Stack::Embedded, "01").await;
    let spans = collector.spans();
    let logs = collector.logs();
    let of = |message: &str| {
        let mut logs = logs.iter();
        logs.find(|(body, _, trace, _)| body == message && trace == ORDER)
            .unwrap_or_else(|| panic!("no log record {message:?} of the order"))
    };
    let (_, call, _, span) = of("call");
    assert_eq!(call.get("status").unwrap(), "OK");
    let server = spans.iter().find(|other| other.span_id == *span).unwrap();
    assert_eq!(server.kind, "server");

    let (_, handled, _, span) = of("handled");
    let consumer = spans.iter().find(|other| other.span_id == *span).unwrap();
    assert_eq!(consumer.kind, "consumer");
    let event_id = &consumer.attributes["messaging.message.id"];
    assert_eq!(handled.get("event.id"), Some(event_id));
    assert!(handled.contains_key("aggregate.id") && handled.contains_key("correlation_id"));
}
