//! Compares the event catalogue of ARCHITECTURE.md, with its consumers, with the contracts and the subscriptions.

use std::collections::BTreeSet;

use contracts::key::v1::KeyRequested;
use contracts::user::v1::KeyPublished;
use prost::Name as _;

use crate::system::participants;
use crate::tidy::{read, root};

#[test]
fn the_event_catalogue_names_exactly_the_contracts_events() {
    let architecture = read("ARCHITECTURE.md");
    let (_, catalogue) = architecture.split_once("## Event catalogue").unwrap();
    let (catalogue, _) = catalogue.split_once("\n## ").unwrap();
    let named: BTreeSet<&str> = catalogue
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`').map(|(event, _)| event))
        .collect();
    let published: BTreeSet<&str> = contracts::EVENTS
        .iter()
        .map(|event| event.routing_key)
        .collect();
    assert_eq!(named, published);
}

#[test]
fn the_event_catalogue_names_the_file_of_every_effect() {
    let architecture = read("ARCHITECTURE.md");
    for participant in participants() {
        let service = participant.service;
        let subscriptions = participant.subscriptions.unwrap();
        // The handler that services share.
        let shared = KeyPublished::full_name();
        let own = subscriptions.event_types().filter(|name| *name != shared);
        let handled = own.map(|event_type| {
            let name = event(event_type).routing_key.replace('.', "_");
            (event_type, name)
        });
        let observed = subscriptions
            .observed_types()
            .map(|event_type| (event_type, event(event_type).aggregate.to_owned()));
        for (event_type, name) in handled.chain(observed) {
            let handler = format!("events/{name}.rs");
            let row = consumers(&architecture, event(event_type).routing_key);
            let named = row
                .iter()
                .filter_map(|cell| cell.strip_prefix(service)?.strip_prefix(": "))
                .flat_map(|files| files.split('`'));
            let folder = root().join("services").join(service);
            let is_named = named.into_iter().any(|file| {
                let is_handler = file == handler && folder.join("src").join(file).exists();
                // An event that only causes a mail has no handler of its own.
                let mail = file.strip_prefix("templates/");
                let mail = mail.and_then(|file| file.strip_suffix(".txt"));
                let is_mail =
                    mail.is_some_and(|mail| name.ends_with(mail)) && folder.join(file).exists();
                is_handler || is_mail
            });
            assert!(
                is_named,
                "{event_type}: the catalogue lacks {service}: {handler}"
            );
        }
    }
}

#[test]
fn the_event_catalogue_names_every_service_that_needs_keys() {
    let architecture = read("ARCHITECTURE.md");
    let consuming = consumers(&architecture, "key.published").join(" ");
    let requesting = architecture
        .lines()
        .find(|line| line.starts_with("| `key.requested` "))
        .and_then(|row| row.split('|').nth(2))
        .unwrap_or_default();
    let shared = KeyPublished::full_name();
    for participant in participants() {
        let subscriptions = participant.subscriptions.unwrap();
        if subscriptions.event_types().any(|name| name == shared) {
            let service = participant.service;
            assert!(consuming.contains(service), "{service}: key.published");
            assert!(requesting.contains(service), "{service}: key.requested");
        }
    }
}

fn event(event_type: &str) -> &'static contracts::EventInfo {
    let mut events = contracts::EVENTS.iter();
    events
        .find(|event| event.type_name == event_type)
        .unwrap_or_else(|| panic!("{event_type} is no event of the contracts"))
}

/// The cells *consumed by* in the rows of one event.
fn consumers<'a>(architecture: &'a str, routing_key: &str) -> Vec<&'a str> {
    let first = format!("| `{routing_key}` ");
    let rows = architecture
        .lines()
        .skip_while(|line| !line.starts_with(&first));
    let more = rows
        .clone()
        .skip(1)
        .take_while(|line| line.starts_with("| | "));
    let cells = rows.take(1).chain(more);
    let cells = cells.filter_map(|row| row.split('|').nth(3));
    cells.map(str::trim).collect()
}

/// An event without a queue would stay in its outbox forever, with later events behind it.
#[test]
fn unconsumed_and_periodic_events_may_be_unrouted_and_no_others() {
    let queues = participants().into_iter();
    let queues = queues.map(|participant| participant.subscriptions.unwrap().queue());
    let queues: Vec<_> = queues.collect();
    let bindings: Vec<_> = queues.iter().flat_map(|queue| &queue.bindings).collect();
    let published_again = [KeyPublished::full_name(), KeyRequested::full_name()];
    for event in contracts::EVENTS {
        let is_consumed = bindings
            .iter()
            .any(|binding| binding.takes(event.exchange, event.routing_key));
        let comes_again = published_again.iter().any(|name| name == event.type_name);
        assert_eq!(
            event.may_be_unrouted,
            comes_again || !is_consumed,
            "{event:?}, consumed: {is_consumed}"
        );
    }
}

#[test]
fn every_exchange_has_a_publisher_and_no_other_exists() {
    let of_contracts: BTreeSet<&str> = contracts::EVENTS
        .iter()
        .map(|event| event.exchange)
        .collect();
    let published: BTreeSet<&str> = participants()
        .iter()
        .flat_map(|participant| participant.exchanges.iter().copied())
        .collect();
    assert_eq!(published, of_contracts);
}
