//! The exchanges, queues and bindings that one service needs, as data: derived from what it publishes and subscribes to, and
//! made real by a transport.

use std::collections::BTreeSet;

/// Where a queue sends what it gives up on, under the queue's own name as the routing key. A direct exchange, so that each
/// message reaches exactly the dead-letter queue of the queue that it came from.
pub const DEAD_LETTER_EXCHANGE: &str = "dlx";

/// What one service declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Durable topic exchanges: those it publishes to and those it binds to, so that services may start in any order.
    pub exchanges: BTreeSet<String>,
    /// Those of them that it publishes to.
    pub published: BTreeSet<String>,
    /// The queue that it consumes, if it does.
    pub queue: Option<Queue>,
}

/// A durable queue with its own dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name, without the prefix that a transport may put before it.
    pub name: String,
    /// What is routed to it.
    pub bindings: BTreeSet<Binding>,
    /// How often a message is delivered again, because its consumer died, before it is dead-lettered.
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

/// One thing that a queue is told to do: an argument (with `x-` before its name) where the service declares the queue, an
/// entry of a policy where an operator does.
pub(crate) type Setting = (&'static str, SettingValue);

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum SettingValue {
    Number(u32),
    Text(String),
}

impl Queue {
    /// How the queue treats what it cannot get rid of, where `dlx` is the name of the dead-letter exchange.
    pub(crate) fn settings(&self, dlx: &str) -> Vec<Setting> {
        vec![
            // Said aloud, because only 4.0 has a default.
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
            // At-least-once dead-lettering holds only where a full queue refuses; with the default it silently does not.
            ("overflow", SettingValue::Text("reject-publish".to_owned())),
        ]
    }
}

/// What a dead-letter queue is told: nothing that lies there has anywhere else to go, so it is neither dropped after the 20
/// deliveries that 4.0 grants unasked, nor where an operator has bounded the queue.
pub(crate) fn dead_letter_settings() -> Vec<Setting> {
    const NEVER_REACHED: u32 = 1_000_000;
    vec![
        ("delivery-limit", SettingValue::Number(NEVER_REACHED)),
        ("overflow", SettingValue::Text("reject-publish".to_owned())),
    ]
}

/// The broker does not have what a service needs, and the service cannot make it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyMismatch {
    /// One clause each, with the names that things have on the broker.
    #[error(
        "the broker does not have what this service needs, nor may the service declare it: {}. \
         What to do: import into the broker what `angarium topology export` prints",
        .0.join("; ")
    )]
    Missing(Vec<String>),
    /// An exchange of another type: what is published to it would reach no queue.
    #[error(
        "the broker has an exchange of a name that this service uses, of another type: {0}. \
         What to do: delete it there, and the service makes it anew"
    )]
    Different(String),
    /// The broker does not let the service into its virtual host.
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

/// The name of the queue that keeps what `queue` has given up on.
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead_letters")
}
