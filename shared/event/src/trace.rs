//! The trace of an event, as opaque strings. They are stored and sent with the event, so a retry, a replay or an outage
//! does not break the trace.

/// W3C Trace Context of the span that created the event, and the part of W3C Baggage that may travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<span id>-<flags>`.
    pub traceparent: Option<String>,
    /// Vendor state; meaningless without `traceparent`.
    pub tracestate: Option<String>,
    /// `key=value,…` from callers. The code that fills it in selects the keys.
    pub baggage: Option<String>,
}

impl TraceContext {
    /// Takes a context from a sender. Drops one without the form of W3C Trace Context level 1 §3.2: a broken trace must
    /// not break a delivery.
    pub fn accept(
        traceparent: Option<&str>,
        tracestate: Option<&str>,
        baggage: Option<&str>,
    ) -> Self {
        let traceparent = traceparent.filter(|value| is_traceparent(value));
        let tracestate =
            tracestate.filter(|state| traceparent.is_some() && state.len() <= MAX_TRACESTATE_BYTES);
        let baggage = baggage.filter(|baggage| baggage.len() <= MAX_BAGGAGE_BYTES);
        Self {
            traceparent: traceparent.map(str::to_owned),
            tracestate: tracestate.map(str::to_owned),
            baggage: baggage.map(str::to_owned),
        }
    }

    /// The id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_deref()?.split('-').nth(1)
    }
}

/// §3.3.1.5 requires at least 512 characters; more would only fill our tables.
const MAX_TRACESTATE_BYTES: usize = 512;
/// Far below the 8192 of W3C Baggage §3.3.2: every event carries it, and every row keeps it.
const MAX_BAGGAGE_BYTES: usize = 1024;

fn is_traceparent(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let [version, trace_id, span_id, flags] = parts.as_slice() else {
        return false;
    };
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    hex(version, 2)
        && *version != "ff"
        && hex(trace_id, 32)
        && !zero(trace_id)
        && hex(span_id, 16)
        && !zero(span_id)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_context_is_kept_unchanged() {
        let context = TraceContext::accept(Some(VALID), Some("vendor=1"), Some("tenant=a"));
        assert_eq!(context.traceparent.as_deref(), Some(VALID));
        assert_eq!(context.tracestate.as_deref(), Some("vendor=1"));
        assert_eq!(context.baggage.as_deref(), Some("tenant=a"));
    }

    #[test]
    fn a_broken_traceparent_is_dropped_with_its_state() {
        for broken in [
            "",
            "00",
            "00-0-0-0",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        ] {
            assert_eq!(
                TraceContext::accept(Some(broken), Some("vendor=1"), None),
                TraceContext::default(),
                "{broken}"
            );
        }
    }

    #[test]
    fn what_is_too_long_to_carry_is_left_behind_alone() {
        let long = "k=".to_owned() + &"v".repeat(MAX_BAGGAGE_BYTES);
        let context = TraceContext::accept(Some(VALID), Some(&long), Some(&long));
        assert_eq!(context.traceparent.as_deref(), Some(VALID));
        assert_eq!((context.tracestate, context.baggage), (None, None));
    }
}
