//! Bindings that no service of this release declares.
//!
//! Guarantee: only [`unbind`] removes a binding. A start only adds, because the previous release may still run or come
//! back, and would silently miss events.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::transport::{
    Binding, Broker, DEAD_LETTER_EXCHANGE, RabbitMq, Topology, TransportError, dead_letter_queue,
};

/// A binding of a queue; names without the prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// The queue.
    pub queue: String,
    /// The exchange and pattern.
    pub binding: Binding,
}

/// The list of bindings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot read the list of bindings: {0}. What to do: pass the output of `rabbitmqctl -q list_bindings --formatter json`, \
     `rabbitmqctl export_definitions` or management's /api/bindings"
)]
pub struct ListError(#[from] serde_json::Error);

/// Reads the bindings of this virtual host and prefix from `list`, RabbitMQ's JSON: AMQP cannot list them.
///
/// # Errors
/// If it is not such a list.
pub fn read(list: &str, vhost: &str, prefix: &str) -> Result<Vec<Bound>, ListError> {
    let listed: Listed = serde_json::from_str(list)?;
    let (Listed::Alone(bindings) | Listed::Definitions { bindings }) = listed;
    let bound = bindings.into_iter().filter_map(|one| {
        // Every queue is bound to the default exchange, which has the empty name.
        let is_ours = one.destination_type == "queue"
            && !one.source.is_empty()
            && one.vhost.is_none_or(|found| found == vhost);
        let queue = one.destination.strip_prefix(prefix)?;
        let exchange = one.source.strip_prefix(prefix)?;
        is_ours.then(|| Bound {
            queue: queue.to_owned(),
            binding: Binding {
                exchange: exchange.to_owned(),
                pattern: one.routing_key,
            },
        })
    });
    Ok(bound.collect())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Listed {
    Alone(Vec<One>),
    Definitions { bindings: Vec<One> },
}

/// Management and `rabbitmqctl` name the same fields differently.
#[derive(Deserialize)]
struct One {
    #[serde(alias = "source_name")]
    source: String,
    #[serde(alias = "destination_name")]
    destination: String,
    #[serde(alias = "destination_kind")]
    destination_type: String,
    routing_key: String,
    vhost: Option<String>,
}

/// Bindings of the queues of `topologies` that none of these declares.
pub fn stale(bound: &[Bound], topologies: &[Topology]) -> Vec<Bound> {
    let queues = || {
        topologies
            .iter()
            .filter_map(|topology| topology.queue.as_ref())
    };
    let declared: BTreeSet<Bound> = queues()
        .flat_map(|queue| {
            let own = queue.bindings.iter().map(|binding| Bound {
                queue: queue.name.clone(),
                binding: binding.clone(),
            });
            own.chain([Bound {
                queue: dead_letter_queue(&queue.name),
                binding: Binding {
                    exchange: DEAD_LETTER_EXCHANGE.to_owned(),
                    pattern: queue.name.clone(),
                },
            }])
        })
        .collect();
    let names: BTreeSet<&str> = declared.iter().map(|one| one.queue.as_str()).collect();
    let is_stale = |one: &&Bound| names.contains(one.queue.as_str()) && !declared.contains(one);
    let stale: BTreeSet<Bound> = bound.iter().filter(is_stale).cloned().collect();
    stale.into_iter().collect()
}

/// Removes these bindings. A missing one is no error.
///
/// # Errors
/// If the broker cannot be reached or refuses: some may already be removed.
pub async fn unbind(broker: &Broker, bound: &[Bound]) -> Result<(), TransportError> {
    match broker {
        Broker::RabbitMq(config) => {
            let operator = RabbitMq::new(config.clone(), "angarium", Topology::default());
            operator.unbind(bound).await
        }
        Broker::Embedded(embedded) => embedded.unbind(bound).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Queue;

    fn bound(queue: &str, exchange: &str, pattern: &str) -> Bound {
        Bound {
            queue: queue.to_owned(),
            binding: Binding {
                exchange: exchange.to_owned(),
                pattern: pattern.to_owned(),
            },
        }
    }

    #[test]
    fn what_rabbitmq_prints_is_read_in_each_of_its_forms() {
        let expected = [bound("orders_queue", "user_events", "user.#")];
        for list in [
            // rabbitmqctl, for one virtual host.
            r#"[{"source_name":"","source_kind":"exchange","destination_name":"p.orders_queue","destination_kind":"queue",
                 "routing_key":"p.orders_queue","arguments":[]},
                {"source_name":"p.user_events","source_kind":"exchange","destination_name":"p.orders_queue",
                 "destination_kind":"queue","routing_key":"user.#","arguments":[]}]"#,
            // Management, and an export of definitions.
            r#"[{"source":"p.user_events","vhost":"/","destination":"p.orders_queue","destination_type":"queue",
                 "routing_key":"user.#","arguments":{},"properties_key":"user.%23"},
                {"source":"p.user_events","vhost":"other","destination":"p.orders_queue","destination_type":"queue",
                 "routing_key":"user.old","arguments":{}}]"#,
            r#"{"rabbit_version":"4.1.0","bindings":[{"source":"p.user_events","vhost":"/","destination":"p.orders_queue",
                 "destination_type":"queue","routing_key":"user.#","arguments":{}},
                {"source":"q.user_events","vhost":"/","destination":"q.orders_queue","destination_type":"queue",
                 "routing_key":"user.#","arguments":{}}]}"#,
        ] {
            assert_eq!(read(list, "/", "p.").unwrap(), expected, "{list}");
        }
        let error = read("Listing bindings", "/", "").unwrap_err().to_string();
        assert!(error.contains("--formatter json"), "{error}");
    }

    #[test]
    fn only_what_no_service_declares_is_stale() {
        let queue = Queue {
            name: "orders_queue".to_owned(),
            bindings: [bound("", "user_events", "user.#").binding].into(),
            delivery_limit: 20,
        };
        let topologies = [Topology::default().consuming(queue)];
        let there = [
            bound("orders_queue", "user_events", "user.#"),
            bound("orders_queue", "user_events", "user.created"),
            bound("orders_queue.dead_letters", "dlx", "orders_queue"),
            bound("orders_queue.dead_letters", "dlx", "old_queue"),
            bound("reports_queue", "user_events", "user.created"),
        ];
        let stale = stale(&there, &topologies);
        assert_eq!(stale, [there[1].clone(), there[3].clone()]);
    }
}
