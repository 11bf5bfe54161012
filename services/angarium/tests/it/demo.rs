//! The demo, on both stacks: it runs to the end and succeeds.

use testkit::{Broker, BrokerKind, Database, StoreKind};

use crate::process::{broker_settings, command, run};

#[track_caller]
fn tells_the_story(output: std::process::Output) {
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
fn embedded_the_demo_tells_its_story_twice_in_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    tells_the_story(run(command(folder.path()).arg("demo")));
    tells_the_story(run(command(folder.path()).arg("demo")));
    let mails = std::fs::read_dir(folder.path().join("demo/mails"))
        .unwrap()
        .count();
    // A welcome and a code, and one for each step of an order.
    assert_eq!(mails, 8);
}

#[tokio::test]
async fn on_servers_the_demo_tells_its_story() {
    let database = Database::create(StoreKind::Postgres).await;
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let folder = tempfile::tempdir().unwrap();
    let (url, prefix) = broker_settings(&broker);
    tells_the_story(run(command(folder.path())
        .args(["demo", "--database-url", database.url()])
        .env("AMQP_URL", url)
        .env("AMQP_PREFIX", prefix)));
}
