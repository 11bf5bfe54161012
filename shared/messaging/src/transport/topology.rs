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
        Self {
            exchanges: exchanges.into_iter().map(str::to_owned).collect(),
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

/// The name of the queue that keeps what `queue` has given up on.
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dead_letters")
}
