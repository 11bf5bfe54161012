//! The messages: good events of some accounts, in their order, and ten kinds of other messages among them, each with its own
//! account.

use bytes::Bytes;
use event::{Envelope, Event as _, MAX_BODY_BYTES, Message, TraceContext};
use prost::{Message as _, Name as _};
use uuid::Uuid;

use crate::checker::Entry;
use crate::deposit::Deposited;
use crate::workload::effects;

/// The kind of the good messages.
pub(crate) const GOOD: &str = "good";
/// Deeper than a decoder follows.
const DEEP: usize = 120;

/// What must become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Handled,
    /// It is not an event, so there is no attempt.
    NoEvent(&'static str),
    /// The first attempt cannot decode it.
    Unreadable,
    UnknownType,
    Fails,
    Aborts,
}

/// How a message is kept.
pub(crate) struct Kept {
    pub(crate) state: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) attempts: i32,
}

impl Fate {
    pub(crate) fn is_kept(self) -> bool {
        self != Self::Handled
    }

    /// `None` if it is handled.
    pub(crate) fn kept(self, attempts: i32, replayed: bool) -> Option<Kept> {
        let dead = |cause, attempts| Kept {
            state: "dead",
            cause,
            attempts,
        };
        Some(match self {
            Self::Handled => return None,
            // Only a replay counts as an attempt.
            Self::NoEvent(cause) => dead(cause, i32::from(replayed)),
            Self::Unreadable => dead("undecodable: failed to decode", 1),
            Self::UnknownType => Kept {
                state: "skipped",
                cause: "",
                attempts: 0,
            },
            Self::Fails => dead(
                "this deposit always fails (given up after 5 attempts)",
                attempts,
            ),
            Self::Aborts => dead("the broker gave it up (delivery_limit)", 0),
        })
    }

    /// After a replay with the repaired handler.
    pub(crate) fn mended(self) -> Self {
        match self {
            Self::Fails | Self::Aborts => Self::Handled,
            other => other,
        }
    }
}

pub(crate) struct Sample {
    pub(crate) kind: &'static str,
    pub(crate) fate: Fate,
    pub(crate) event_id: String,
    pub(crate) message: Message,
    /// The effect that it must have in the end, if any.
    pub(crate) effect: Option<Entry>,
}

type Spoil = fn(&mut Message);

pub(crate) const KINDS: [(&str, Fate, Spoil); 10] = [
    ("random bytes", Fate::Unreadable, |message| {
        // Tags with a wire type that does not exist.
        message.body = (0..200).map(|_| fastrand::u8(..) | 7).collect();
    }),
    ("truncated", Fate::Unreadable, |message| {
        message.body.truncate(message.body.len() - 3);
    }),
    ("unknown type", Fate::UnknownType, |message| {
        message.event_type = Some("faults.workload.v9.Deposited".to_owned());
    }),
    (
        "another content type",
        Fate::NoEvent("its content type is"),
        |message| {
            message.content_type = Some("application/json".to_owned());
        },
    ),
    ("too large", Fate::NoEvent("its body has"), |message| {
        message.body = Bytes::from(vec![0; MAX_BODY_BYTES + 1]);
    }),
    ("nested too deep", Fate::Unreadable, |message| {
        let mut deposited = Deposited::default();
        for _ in 0..DEEP {
            deposited.part_of = Some(Box::new(std::mem::take(&mut deposited)));
        }
        message.body = deposited.encode_to_vec().into();
    }),
    ("always fails", Fate::Fails, |_| ()),
    ("unknown enum value", Fate::Handled, |_| ()),
    ("bad traceparent", Fate::Handled, |message| {
        let headers = &mut message.headers;
        headers.insert("traceparent".to_owned(), "00-zz-?-".to_owned());
    }),
    ("headers missing", Fate::Handled, |message| {
        (message.correlation_id, message.app_id, message.timestamp_s) = (None, None, None);
        for name in [
            "cloudEvents_specversion",
            "cloudEvents_source",
            "cloudEvents_time",
            "cloudEvents_type",
        ] {
            message.headers.remove(name);
        }
    }),
];

/// The messages in the order in which they must be sent.
pub(crate) fn samples(good: usize, of_each: usize, killers: usize, seed: u64) -> Vec<Sample> {
    fastrand::seed(seed);
    let accounts = (good / 20).max(1);
    let mut samples: Vec<Sample> = (0..good)
        .map(|number| {
            let account = format!("account-{}", number % accounts);
            let version = i64::try_from(number / accounts).unwrap_or(0) + 1;
            sample(
                GOOD,
                Fate::Handled,
                &format!("good-{number}"),
                &account,
                version,
            )
        })
        .collect();
    let mut others = Vec::new();
    for (kind, fate, spoil) in KINDS {
        for number in 0..of_each {
            let prefix = if fate == Fate::Fails {
                effects::FAILS
            } else {
                kind
            };
            let op = format!("{prefix}-{number}");
            let mut sample = sample(kind, fate, &op, &op, 1);
            spoil(&mut sample.message);
            others.push(sample);
        }
    }
    for number in 0..killers {
        let op = format!("{}-{number}", effects::ABORTS);
        others.push(sample("deadly", Fate::Aborts, &op, &op, 1));
    }
    // At random places among the good messages, which keep their order.
    for other in others {
        samples.insert(fastrand::usize(..=samples.len()), other);
    }
    samples
}

/// Only messages that cannot be decoded.
pub(crate) fn unreadable(count: usize, seed: u64) -> Vec<Sample> {
    let mut samples = samples(0, count, 0, seed);
    samples.retain(|sample| sample.fate == Fate::Unreadable);
    samples.truncate(count);
    samples
}

/// A message for which the handler never returns.
pub(crate) fn hanging() -> Sample {
    sample(
        effects::HANGS,
        Fate::Fails,
        effects::HANGS,
        effects::HANGS,
        1,
    )
}

fn sample(kind: &'static str, fate: Fate, op: &str, account: &str, version: i64) -> Sample {
    let unknown = kind == "unknown enum value";
    let event = Deposited {
        account: account.to_owned(),
        op: op.to_owned(),
        kind: if unknown { 77 } else { 1 },
        part_of: None,
    };
    let envelope = Envelope {
        id: Uuid::now_v7(),
        event_type: Deposited::full_name(),
        source: "producer".to_owned(),
        time_ms: 1_700_000_000_000,
        aggregate_id: account.to_owned(),
        aggregate_version: Some(version),
        correlation_id: op.to_owned(),
        trace: TraceContext::default(),
    };
    let body = event.encode_to_vec().into();
    let effect = Entry {
        op: op.to_owned(),
        account: account.to_owned(),
        version,
    };
    Sample {
        kind,
        fate,
        event_id: envelope.id.to_string(),
        message: envelope.to_message(Deposited::EXCHANGE, Deposited::ROUTING_KEY, body),
        effect: (fate.mended() == Fate::Handled).then_some(effect),
    }
}
