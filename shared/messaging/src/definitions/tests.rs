//! The export for one publisher and one consumer.

use serde_json::{Value, json};

use super::*;
use crate::transport::Binding;

fn exported(prefix: &str) -> Value {
    let consumer = Topology::publishing(["b.events"]).consuming(Queue {
        name: "b_queue".to_owned(),
        bindings: BTreeSet::from([Binding {
            exchange: "a_events".to_owned(),
            pattern: "a.#".to_owned(),
        }]),
        delivery_limit: 7,
    });
    let account = |name: &str, services: Vec<Topology>| Account {
        name: name.to_owned(),
        password_hash: "hash".to_owned(),
        services,
    };
    let accounts = [
        account("a", vec![Topology::publishing(["a_events"])]),
        account("b", vec![consumer]),
    ];
    serde_json::to_value(Definitions::new("/", prefix, &accounts)).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect()
}

#[test]
fn an_account_has_its_own_exchanges_and_queues_only() {
    let permissions = &exported("")["permissions"];
    let (a, b) = (&permissions[0], &permissions[1]);
    assert_eq!(
        (&a["configure"], &a["write"], &a["read"]),
        (&json!("^$"), &json!("^a_events$"), &json!("^$"))
    );
    assert_eq!(
        (&b["configure"], &b["write"], &b["read"]),
        (
            &json!("^$"),
            &json!(r"^b\.events$"),
            &json!(r"^(b_queue|b_queue\.dead_letters)$")
        )
    );
}

#[test]
fn queue_settings_are_policies_never_arguments() {
    let exported = exported("");
    for queue in exported["queues"].as_array().unwrap() {
        assert_eq!(queue["arguments"], json!({"x-queue-type": "quorum"}));
    }
    assert_eq!(
        names(&exported["policies"]),
        ["b_queue", "b_queue.dead_letters"]
    );
    let policy = &exported["policies"][0];
    assert_eq!(policy["pattern"], "^b_queue$");
    let expected = json!({
        "delivery-limit": 7,
        "dead-letter-exchange": "dlx",
        "dead-letter-routing-key": "b_queue",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    });
    assert_eq!(policy["definition"], expected);
    assert_eq!(
        exported["policies"][1]["pattern"],
        r"^b_queue\.dead_letters$"
    );
}

#[test]
fn every_queue_and_its_dead_letters_are_bound() {
    let exported = exported("");
    let bindings = exported["bindings"].as_array().unwrap();
    let bound: Vec<_> = bindings
        .iter()
        .map(|binding| ["source", "routing_key", "destination"].map(|key| binding[key].as_str()))
        .collect();
    let expected = [
        ["a_events", "a.#", "b_queue"],
        ["dlx", "b_queue", "b_queue.dead_letters"],
    ];
    assert_eq!(bound, expected.map(|binding| binding.map(Some)));
    assert_eq!(
        names(&exported["exchanges"]),
        ["a_events", "b.events", "dlx"]
    );
}

#[test]
fn a_prefix_stands_before_every_name_and_means_only_itself() {
    let exported = exported("t.1-");
    assert_eq!(names(&exported["users"]), ["t.1-a", "t.1-b"]);
    assert_eq!(
        names(&exported["queues"]),
        ["t.1-b_queue", "t.1-b_queue.dead_letters"]
    );
    assert_eq!(exported["permissions"][0]["write"], r"^t\.1-a_events$");
    let policy = &exported["policies"][0];
    assert_eq!(policy["definition"]["dead-letter-exchange"], "t.1-dlx");
    assert_eq!(policy["definition"]["dead-letter-routing-key"], "b_queue");
}
