//! The exchanges, queues and bindings of one service, as data.

use std::collections::BTreeSet;

use super::topic;

/// The exchange for dead letters, with the queue's name as the routing key. Direct, so that each message reaches
/// exactly its own queue's dead-letter queue.
pub const DEAD_LETTER_EXCHANGE: &str = "dlx";

/// The exchanges, queues and bindings of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Durable topic exchanges: those it publishes to and those it binds to, so that services may start in any order.
    pub exchanges: BTreeSet<String>,
    /// The exchanges that it publishes to.
    pub published: BTreeSet<String>,
    /// `None` if it consumes nothing.
    pub queue: Option<Queue>,
}

/// A durable queue with its own dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Without the prefix.
    pub name: String,
    /// What is routed to it.
    pub bindings: BTreeSet<Binding>,
    /// Redeliveries after a consumer died; then the message is dead-lettered.
    pub delivery_limit: u16,
}

/// A topic binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// The topic exchange.
    pub exchange: String,
    /// Words separated by dots; `*` is any one word and `#` any number of words.
    pub pattern: String,
}

impl Binding {
    /// Whether it routes a message with this key in this exchange.
    pub fn takes(&self, exchange: &str, routing_key: &str) -> bool {
        self.exchange == exchange && topic::matches(&self.pattern, routing_key)
    }
}

impl Topology {
    /// A service that publishes to these exchanges.
    pub fn publishing<'a>(exchanges: impl IntoIterator<Item = &'a str>) -> Self {
        let published: BTreeSet<_> = exchanges.into_iter().map(str::to_owned).collect();
        Self {
            exchanges: published.clone(),
            published,
            queue: None,
        }
    }

    /// … and consumes this queue.
    #[must_use]
    pub fn consuming(mut self, queue: Queue) -> Self {
        self.exchanges.extend(
            queue
                .bindings
                .iter()
                .map(|binding| binding.exchange.clone()),
        );
        self.queue = Some(queue);
        self
    }
}

/// An argument (with the prefix `x-`) for a service, an entry of a policy for an operator.
pub(crate) type Setting = (&'static str, SettingValue);

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum SettingValue {
    Number(u32),
    Text(String),
}

impl Queue {
    pub(crate) fn settings(&self, dlx: &str) -> Vec<Setting> {
        vec![
            // Explicit, because only 4.0 has a default.
            (
                "delivery-limit",
                SettingValue::Number(self.delivery_limit.into()),
            ),
            ("dead-letter-exchange", SettingValue::Text(dlx.to_owned())),
            (
                "dead-letter-routing-key",
                SettingValue::Text(self.name.clone()),
            ),
            (
                "dead-letter-strategy",
                SettingValue::Text("at-least-once".to_owned()),
            ),
            // At-least-once dead-lettering silently fails unless a full queue refuses.
            ("overflow", SettingValue::Text("reject-publish".to_owned())),
        ]
    }
}

/// Its messages have no other place: neither 4.0's default of 20 deliveries nor an operator's limit drops them.
pub(crate) fn dead_letter_settings() -> Vec<Setting> {
    const NEVER_REACHED: u32 = 1_000_000;
    vec![
        ("delivery-limit", SettingValue::Number(NEVER_REACHED)),
        ("overflow", SettingValue::Text("reject-publish".to_owned())),
    ]
}

/// The broker lacks something that the service cannot declare.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyMismatch {
    /// One clause per item, with the names on the broker.
    #[error(
        "the broker does not have what this service needs, nor may the service declare it: {}. \
         What to do: import into the broker what `angarium topology export` prints",
        .0.join("; ")
    )]
    Missing(Vec<String>),
    /// An exchange of another type: events would reach no queue.
    #[error(
        "the broker has an exchange of a name that this service uses, of another type: {0}. \
         What to do: delete it; the service then declares it again"
    )]
    Different(String),
    /// The service may not enter its virtual host.
    #[error(
        "the broker refuses the virtual host {name:?} of AMQP_URL ({said}). What to do: make it and permit this user \
         in it, or name another one in AMQP_URL; the default one is `/%2F`, or no path at all"
    )]
    VirtualHost {
        /// As the URL names it.
        name: String,
        /// What the broker says.
        said: String,
    },
}

/// The queue for `queue`'s dead letters.
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead_letters")
}
