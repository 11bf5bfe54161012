//! Outdated bindings: a start keeps them, and `angarium topology prune` removes them and nothing else.

use std::path::Path;

use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Broker, BrokerKind, Operation, Operator};

use crate::process::{Process, broker_settings, command, run};

fn prune(data: &Path, settings: &[(&str, &str)], args: &[&str]) -> String {
    let mut command = command(data);
    command.envs(settings.iter().copied());
    let output = run(command.args(["topology", "prune"]).args(args));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn in_file(data: &Path) -> Vec<String> {
    let url = format!("sqlite://{}", data.join("events.db").display());
    let db = Database::connect(url).await.unwrap();
    let select =
        "SELECT queue || ' ' || exchange || ' ' || pattern AS bound FROM binding ORDER BY bound";
    let rows = db.query_all_raw(Statement::from_string(DbBackend::Sqlite, select));
    let rows = rows.await.unwrap();
    db.close().await.unwrap();
    rows.iter()
        .map(|row| row.try_get("", "bound").unwrap())
        .collect()
}

#[tokio::test]
async fn on_the_queue_file_a_start_leaves_what_prune_removes() {
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    assert!(Process::start(&mut command(data)).interrupt().success());
    let needed = in_file(data).await;
    // As an older release has left it.
    let url = format!("sqlite://{}", data.join("events.db").display());
    let db = Database::connect(url).await.unwrap();
    let binding = "INSERT INTO binding (queue, exchange, pattern) VALUES ('orders_queue', 'user_events', 'user.renamed')";
    db.execute_unprepared(binding).await.unwrap();
    db.close().await.unwrap();
    let with_old = in_file(data).await;
    assert_eq!(with_old.len(), needed.len() + 1);

    assert!(Process::start(&mut command(data)).interrupt().success());
    assert_eq!(in_file(data).await, with_old, "a start removes nothing");
    let said = prune(data, &[], &["--dry-run"]);
    let old = "orders_queue from user_events with user.renamed";
    assert_eq!(said.trim(), format!("would remove: {old}"));
    assert_eq!(in_file(data).await, with_old);
    assert_eq!(prune(data, &[], &[]).trim(), format!("removed: {old}"));
    assert_eq!(in_file(data).await, needed);
    let said = prune(data, &[], &[]);
    assert_eq!(said.trim(), "no outdated bindings");
}

/// The list, and the bindings with this prefix that are not default ones.
async fn on_broker(prefix: &str) -> (String, Vec<[String; 3]>) {
    let args = ["-q", "list_bindings", "--formatter", "json"];
    let list = Operator::of_test_run().run(&args).await;
    let bindings: Vec<Value> = serde_json::from_str(&list).unwrap();
    let text = |binding: &Value, name: &str| binding[name].as_str().unwrap().to_owned();
    let mut ours: Vec<[String; 3]> = bindings
        .iter()
        .map(|binding| {
            ["source_name", "destination_name", "routing_key"].map(|name| text(binding, name))
        })
        .filter(|[source, _, _]| source.starts_with(prefix))
        .collect();
    ours.sort();
    (list, ours)
}

#[tokio::test]
async fn on_rabbitmq_prune_removes_what_is_listed_and_not_needed() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let (url, prefix) = broker_settings(&broker);
    let folder = TempDir::new().unwrap();
    let data = folder.path();
    let settings = [("AMQP_URL", url.as_str()), ("AMQP_PREFIX", prefix.as_str())];
    let start = || Process::start(command(data).envs(settings));
    assert!(start().interrupt().success());
    let (_, needed) = on_broker(&prefix).await;
    let old = Operation::Bind {
        queue: format!("{prefix}orders_queue"),
        exchange: format!("{prefix}order_events"),
    };
    assert_eq!(old.attempt(&url.parse().unwrap()).await, Ok(()));
    assert!(start().interrupt().success());
    let (list, with_old) = on_broker(&prefix).await;
    assert_eq!(with_old.len(), needed.len() + 1, "a start removes nothing");

    let file = data.join("bindings.json");
    std::fs::write(&file, list).unwrap();
    let listed = ["--bindings", file.to_str().unwrap()];
    let said = prune(data, &settings, &[&listed[..], &["--dry-run"]].concat());
    let old = "orders_queue from order_events with #";
    assert_eq!(said.trim(), format!("would remove: {old}"));
    assert_eq!(on_broker(&prefix).await.1, with_old);
    let said = prune(data, &settings, &listed);
    assert_eq!(said.trim(), format!("removed: {old}"));
    assert_eq!(on_broker(&prefix).await.1, needed);
}

#[test]
fn without_the_brokers_list_it_says_how_to_get_one() {
    let folder = TempDir::new().unwrap();
    let mut command = command(folder.path());
    command.env("AMQP_URL", "amqp://127.0.0.1:1");
    let output = run(command.args(["topology", "prune"]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("rabbitmqctl -q list_bindings"), "{said}");
}
