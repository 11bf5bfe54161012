//! The demo, on both stacks.

use testkit::{Broker, BrokerKind, Database, StoreKind};

use crate::process::{broker_settings, command, run};

#[track_caller]
fn runs_the_demo(output: std::process::Output) {
    let (story, log) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(0), "{story}\n{log}");
    let lines: Vec<&str> = story
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .filter(|word| ["register", "verify", "login", "mail", "order", "cancel"].contains(word))
        .collect();
    assert_eq!(
        lines,
        [
            "register", "verify", "login", "mail", "order", "mail", "cancel", "mail"
        ],
        "{story}"
    );
}

#[test]
fn embedded_the_demo_runs_twice_in_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    runs_the_demo(run(command(folder.path()).arg("demo")));
    runs_the_demo(run(command(folder.path()).arg("demo")));
    let mails = std::fs::read_dir(folder.path().join("demo/mails"))
        .unwrap()
        .count();
    // A welcome, a code, and one for each step of an order.
    assert_eq!(mails, 8);
}

#[tokio::test]
async fn on_servers_the_demo_runs() {
    let database = Database::create(StoreKind::Postgres).await;
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let folder = tempfile::tempdir().unwrap();
    let (url, prefix) = broker_settings(&broker);
    runs_the_demo(run(command(folder.path())
        .args(["demo", "--database-url", database.url()])
        .env("AMQP_URL", url)
        .env("AMQP_PREFIX", prefix)));
}
