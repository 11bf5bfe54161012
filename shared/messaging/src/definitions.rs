//! RabbitMQ's definitions, for an operator to import into a broker on which the services may not declare anything.
//!
//! They derive from the same topologies as the services' declarations, so the two cannot differ. Queue settings are
//! policies, which an operator can change later. Each account may do only what its services need.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::transport::{
    DEAD_LETTER_EXCHANGE, Queue, Setting, SettingValue, Topology, dead_letter_queue,
    dead_letter_settings,
};

/// A user of the broker.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's name, without the prefix.
    pub name: String,
    /// RabbitMQ's hash for `rabbit_password_hashing_sha256`; empty for a user without password login.
    pub password_hash: String,
    /// Of the services that log in as this user.
    pub services: Vec<Topology>,
}

/// The definitions for RabbitMQ, as JSON. Equal input gives equal text.
#[derive(Debug, Serialize)]
pub struct Definitions {
    vhosts: Vec<Vhost>,
    users: Vec<User>,
    permissions: Vec<Permission>,
    exchanges: Vec<Exchange>,
    queues: Vec<QueueDefinition>,
    bindings: Vec<BindingDefinition>,
    policies: Vec<Policy>,
}

impl Definitions {
    /// Everything that `accounts` need in `vhost`. `prefix` precedes every name, also of users, so that systems in one
    /// vhost have separate users.
    pub fn new(vhost: &str, prefix: &str, accounts: &[Account]) -> Self {
        let place = Place { vhost, prefix };
        let topologies = || accounts.iter().flat_map(|account| &account.services);
        let queues: BTreeMap<&str, &Queue> = topologies()
            .filter_map(|topology| topology.queue.as_ref())
            .map(|queue| (queue.name.as_str(), queue))
            .collect();
        let exchanges: BTreeSet<&str> = topologies()
            .flat_map(|topology| &topology.exchanges)
            .map(String::as_str)
            .collect();
        let dlx = (!queues.is_empty()).then(|| place.exchange(DEAD_LETTER_EXCHANGE, "direct"));
        let queues = queues.values();
        Self {
            vhosts: vec![Vhost { name: vhost.into() }],
            users: accounts.iter().map(|account| place.user(account)).collect(),
            permissions: accounts
                .iter()
                .map(|account| place.permission(account))
                .collect(),
            exchanges: exchanges
                .iter()
                .map(|exchange| place.exchange(exchange, "topic"))
                .chain(dlx)
                .collect(),
            queues: queues
                .clone()
                .flat_map(|queue| place.queues(queue))
                .collect(),
            bindings: queues
                .clone()
                .flat_map(|queue| place.bindings(queue))
                .collect(),
            policies: queues.flat_map(|queue| place.policies(queue)).collect(),
        }
    }
}

struct Place<'a> {
    vhost: &'a str,
    prefix: &'a str,
}

impl Place<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn user(&self, account: &Account) -> User {
        User {
            name: self.name(&account.name),
            password_hash: account.password_hash.clone(),
            hashing_algorithm: "rabbit_password_hashing_sha256",
            tags: [],
        }
    }

    fn permission(&self, account: &Account) -> Permission {
        let published = account
            .services
            .iter()
            .flat_map(|service| &service.published);
        let consumed = account
            .services
            .iter()
            .filter_map(|service| service.queue.as_ref())
            .flat_map(|queue| [queue.name.clone(), dead_letter_queue(&queue.name)]);
        Permission {
            user: self.name(&account.name),
            vhost: self.vhost.to_owned(),
            configure: exactly([]),
            write: exactly(published.map(|name| self.name(name))),
            read: exactly(consumed.map(|name| self.name(&name))),
        }
    }

    fn exchange(&self, name: &str, kind: &'static str) -> Exchange {
        Exchange {
            name: self.name(name),
            vhost: self.vhost.to_owned(),
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: BTreeMap::new(),
        }
    }

    fn queues(&self, queue: &Queue) -> [QueueDefinition; 2] {
        [queue.name.clone(), dead_letter_queue(&queue.name)].map(|name| QueueDefinition {
            name: self.name(&name),
            vhost: self.vhost.to_owned(),
            durable: true,
            auto_delete: false,
            // The only setting that a policy cannot have.
            arguments: BTreeMap::from([("x-queue-type", "quorum")]),
        })
    }

    fn bindings(&self, queue: &Queue) -> Vec<BindingDefinition> {
        let own = queue
            .bindings
            .iter()
            .map(|binding| self.binding(&binding.exchange, &queue.name, &binding.pattern));
        let dead_letters = dead_letter_queue(&queue.name);
        let given_up = self.binding(DEAD_LETTER_EXCHANGE, &dead_letters, &queue.name);
        own.chain([given_up]).collect()
    }

    fn binding(&self, exchange: &str, queue: &str, key: &str) -> BindingDefinition {
        BindingDefinition {
            source: self.name(exchange),
            vhost: self.vhost.to_owned(),
            destination: self.name(queue),
            destination_type: "queue",
            routing_key: key.to_owned(),
            arguments: BTreeMap::new(),
        }
    }

    fn policies(&self, queue: &Queue) -> [Policy; 2] {
        let dlx = self.name(DEAD_LETTER_EXCHANGE);
        [
            self.policy(&queue.name, queue.settings(&dlx)),
            self.policy(&dead_letter_queue(&queue.name), dead_letter_settings()),
        ]
    }

    fn policy(&self, queue: &str, settings: Vec<Setting>) -> Policy {
        let name = self.name(queue);
        Policy {
            vhost: self.vhost.to_owned(),
            pattern: exactly([name.clone()]),
            name,
            apply_to: "queues",
            priority: 10,
            definition: settings.into_iter().collect(),
        }
    }
}

fn exactly(names: impl IntoIterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.into_iter().map(|name| escaped(&name)).collect();
    let names: Vec<String> = names.into_iter().collect();
    match names.as_slice() {
        [] => "^$".to_owned(),
        [name] => format!("^{name}$"),
        _ => format!("^({})$", names.join("|")),
    }
}

fn escaped(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if !character.is_alphanumeric() && !matches!(character, '_' | '-' | ':') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[derive(Debug, Serialize)]
struct Vhost {
    name: String,
}

#[derive(Debug, Serialize)]
struct User {
    name: String,
    password_hash: String,
    hashing_algorithm: &'static str,
    tags: [String; 0],
}

#[derive(Debug, Serialize)]
struct Permission {
    user: String,
    vhost: String,
    configure: String,
    write: String,
    read: String,
}

#[derive(Debug, Serialize)]
struct Exchange {
    name: String,
    vhost: String,
    #[serde(rename = "type")]
    kind: &'static str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug, Serialize)]
struct QueueDefinition {
    name: String,
    vhost: String,
    durable: bool,
    auto_delete: bool,
    arguments: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug, Serialize)]
struct BindingDefinition {
    source: String,
    vhost: String,
    destination: String,
    destination_type: &'static str,
    routing_key: String,
    arguments: BTreeMap<&'static str, &'static str>,
}

#[derive(Debug, Serialize)]
struct Policy {
    vhost: String,
    name: String,
    pattern: String,
    #[serde(rename = "apply-to")]
    apply_to: &'static str,
    priority: u8,
    definition: BTreeMap<&'static str, SettingValue>,
}

#[cfg(test)]
mod tests;
