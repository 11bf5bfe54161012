//! A broker on which the services may declare nothing: the exported definitions are sufficient, and allow nothing else.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use angarium::registry::SERVICES;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Broker, BrokerKind, LockedDown, Operation};
use uuid::Uuid;

use crate::process::{Process, broker_settings, command, run};

mod services;

use services::Services;

/// For a virtual host of one test, with unique names.
struct Exported {
    definitions: Value,
    prefix: String,
    passwords: TempDir,
}

impl Exported {
    fn new(more: &[&str]) -> Self {
        let passwords = TempDir::new().unwrap();
        let id = Uuid::now_v7().simple();
        let prefix = format!("test-{id}.");
        let output = run(command(passwords.path())
            .args(["topology", "export", "--vhost", &format!("test-{id}")])
            .args(["--amqp-prefix", &prefix, "--passwords"])
            .arg(passwords.path())
            .args(more));
        assert!(output.status.success(), "{output:?}");
        Self {
            definitions: serde_json::from_slice(&output.stdout).unwrap(),
            prefix,
            passwords,
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// As its operator would configure it.
    fn url(&self, broker: &LockedDown, service: &str) -> String {
        let password = std::fs::read_to_string(self.passwords.path().join(service)).unwrap();
        broker
            .url(&self.name(service), password.trim_end())
            .to_string()
    }

    /// With everything that depends on it.
    fn without(&mut self, list: &str, name: &str) {
        let name = self.name(name);
        let mut keep = |list: &str, keep: &dyn Fn(&Value) -> bool| {
            self.definitions[list].as_array_mut().unwrap().retain(keep);
        };
        keep(list, &|thing| thing["name"] != name.as_str());
        keep("bindings", &|binding| {
            binding["source"] != name.as_str() && binding["destination"] != name.as_str()
        });
    }
}

#[tokio::test]
async fn the_imported_topology_lets_services_run_with_their_own_users() {
    let exported = Exported::new(&[]);
    let broker = LockedDown::import(&exported.definitions).await;
    let services = Services::start(&exported, &broker).await;
    let account = services.register("ada@example.com").await;
    services.mails(&account, 2).await;
    let order_id = services.place_order(&account).await;
    services.mails(&account, 3).await;
    services.cancel_order(&account, order_id).await;
    services.mails(&account, 4).await;
    services.stop().await;
}

#[test]
fn the_file_is_the_printed_topology_and_replaces_the_old_one() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("definitions.json");
    std::fs::write(&file, "what was there before").unwrap();
    let export = |more: &[&std::ffi::OsStr]| {
        let output = run(command(folder.path())
            .args(["topology", "export"])
            .args(more));
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let printed = export(&[]);
    assert!(export(&["--output".as_ref(), file.as_ref()]).is_empty());
    // The broker runs as another user.
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(std::fs::read(&file).unwrap(), printed);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let nowhere = folder.path().join("nowhere/definitions.json");
    let output = run(command(folder.path())
        .args(["topology", "export", "--output"])
        .arg(&nowhere));
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nowhere/definitions.json"), "{said}");
}

#[tokio::test]
async fn a_queue_that_vanishes_is_used_again_after_its_return() {
    let exported = Exported::new(&[]);
    let broker = LockedDown::import(&exported.definitions).await;
    let services = Services::start(&exported, &broker).await;
    let account = services.register("ada@example.com").await;
    services.mails(&account, 2).await;

    broker
        .delete_queue(&exported.name("notifications_queue"))
        .await;
    broker.import_again(&exported.definitions).await;
    let account = services.register("grace@example.com").await;
    services.mails(&account, 2).await;
    services.stop().await;
}

#[tokio::test]
async fn every_user_may_do_only_what_its_service_does() {
    const FORBIDDEN: Result<(), u16> = Err(403);
    let exported = Exported::new(&[]);
    let broker = LockedDown::import(&exported.definitions).await;
    let own = SERVICES
        .iter()
        .map(|service| (&service.definition, service.definition.queue()));
    let own: Vec<_> = own.collect();
    let queues: Vec<String> = own
        .iter()
        .flat_map(|(_, queue)| [queue.clone(), format!("{queue}.dead_letters")])
        .collect();

    for (definition, queue) in &own {
        let service = definition.name;
        let url = exported.url(&broker, service).parse().unwrap();
        let is_own = |name: &str| name.starts_with(queue);
        let exchange = exported.name(definition.exchanges[0]);

        for exchange in definition.exchanges {
            let publish = Operation::Publish(exported.name(exchange));
            assert_eq!(publish.attempt(&url).await, Ok(()), "{service}: {exchange}");
        }
        let mut forbidden = vec![
            // The default exchange leads to any queue, and the dead-letter exchange to the dead letters.
            Operation::Publish(String::new()),
            Operation::Publish(exported.name("dlx")),
            // Similar names.
            Operation::Publish(format!("{exchange}s")),
            Operation::Publish(format!("x{exchange}")),
            Operation::DeclareExchange(exported.name("new")),
            Operation::DeclareExchange(exchange.clone()),
            Operation::DeclareQueue(exported.name("new")),
            Operation::DeleteExchange(exchange.clone()),
        ];
        let all = own.iter().flat_map(|(definition, _)| definition.exchanges);
        for other in all.filter(|other| !definition.exchanges.contains(other)) {
            forbidden.push(Operation::Publish(exported.name(other)));
            forbidden.push(Operation::DeleteExchange(exported.name(other)));
        }
        for queue in &queues {
            let name = exported.name(queue);
            if is_own(queue) {
                assert_eq!(Operation::Get(name.clone()).attempt(&url).await, Ok(()));
            } else {
                forbidden.push(Operation::Get(name.clone()));
                forbidden.push(Operation::Purge(name.clone()));
            }
            forbidden.push(Operation::DeclareQueue(name.clone()));
            forbidden.push(Operation::DeleteQueue(name.clone()));
            forbidden.push(Operation::Bind {
                queue: name,
                exchange: exchange.clone(),
            });
        }
        for operation in forbidden {
            let answer = operation.attempt(&url).await;
            assert_eq!(answer, FORBIDDEN, "{service}: {operation:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_part_is_named_and_has_its_own_exit_code() {
    let mut exported = Exported::new(&["--all-in-one"]);
    exported.without("exchanges", "order_events");
    exported.without("queues", "orders_queue");
    let broker = LockedDown::import(&exported.definitions).await;
    let folder = TempDir::new().unwrap();
    let url = exported.url(&broker, "angarium");

    let (code, said) = serve(folder.path(), &url, &exported.prefix).await;
    assert_eq!(code, Some(78), "{said}");
    for clause in [
        format!("exchange `{}` is missing", exported.name("order_events")),
        format!("queue `{}` is missing", exported.name("orders_queue")),
        "angarium topology export".to_owned(),
    ] {
        assert!(said.contains(&clause), "{clause} is not in: {said}");
    }
    assert!(!said.contains("dead_letters"), "{said}");
}

/// As in a rolling upgrade that changes a setting.
#[tokio::test]
async fn a_queue_with_other_settings_is_used_with_a_warning() {
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let (url, prefix) = broker_settings(&broker);
    let queue = format!("{prefix}orders_queue");
    let made = Operation::DeclareQueue(queue.clone());
    assert_eq!(made.attempt(&url.parse().unwrap()).await, Ok(()));
    let folder = TempDir::new().unwrap();
    let mut command = command(folder.path());
    command
        .arg("serve")
        .env("AMQP_URL", url)
        .env("AMQP_PREFIX", prefix);
    let log = folder.path().join("log");
    command.stderr(File::create(&log).unwrap());
    assert!(Process::start(&mut command).interrupt().success());
    let log = std::fs::read_to_string(log).unwrap();
    let warning = log.lines().find(|line| line.contains("other settings"));
    let warning = warning.unwrap_or_else(|| panic!("no warning: {log}"));
    for part in ["WARN", "orders_queue", "argument=", "inequivalent arg"] {
        assert!(warning.contains(part), "{part} is not in: {warning}");
    }
}

#[test]
fn passwords_are_made_once_for_their_owner_only() {
    let exported = Exported::new(&[]);
    let folder = exported.passwords.path();
    let services: Vec<&str> = SERVICES
        .iter()
        .map(|service| service.definition.name)
        .collect();
    let read = || -> Vec<String> {
        let files = services.iter().map(|service| folder.join(service));
        files
            .map(|file| std::fs::read_to_string(file).unwrap())
            .collect()
    };
    let made = read();
    for service in &services {
        let mode = std::fs::metadata(folder.join(service))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{service}");
    }
    let again = run(command(folder)
        .args(["topology", "export", "--passwords"])
        .arg(folder));
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(String::from_utf8(again.stderr).unwrap(), "");
    assert_eq!(read(), made);
    for password in &made {
        assert!(
            !exported
                .definitions
                .to_string()
                .contains(password.trim_end())
        );
    }
}

#[test]
fn without_passwords_the_export_is_stable_and_allows_no_login() {
    let folder = TempDir::new().unwrap();
    let export = || run(command(&folder.path().join("none")).args(["topology", "export"]));
    let first = export();
    assert_eq!(first.stdout, export().stdout);
    let definitions: Value = serde_json::from_slice(&first.stdout).unwrap();
    for user in definitions["users"].as_array().unwrap() {
        assert_eq!(user["password_hash"], "", "{user}");
    }
    assert!(!folder.path().join("none").exists());
}

/// It must end on its own: its exit code and output.
async fn serve(data: &Path, url: &str, prefix: &str) -> (Option<i32>, String) {
    let mut command = command(data);
    command
        .arg("serve")
        .env("AMQP_URL", url)
        .env("AMQP_PREFIX", prefix);
    let ending = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), ending)
        .await
        .unwrap_or_else(|_| panic!("it does not end by itself"))
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}
