//! A virtual host of the test run's RabbitMQ in which an operator has made everything, and whose users may make nothing.
//!
//! What AMQP cannot do (importing definitions, deleting users) goes through the command line in `ANGARIUM_TEST_RABBITMQCTL`.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use url::Url;

use crate::{blocking, environment};

mod operation;

pub use operation::Operation;

/// A virtual host and users that belong to one test, and are gone when this is dropped.
pub struct LockedDown {
    vhost: String,
    users: Vec<String>,
}

impl LockedDown {
    /// Imports definitions of one virtual host and its users.
    pub async fn import(definitions: &Value) -> Self {
        let name = |thing: &Value| thing["name"].as_str().expect("a name").to_owned();
        let list = |key: &str| definitions[key].as_array().expect("a list").clone();
        let locked_down = Self {
            vhost: name(list("vhosts").first().expect("a virtual host")),
            users: list("users").iter().map(name).collect(),
        };
        locked_down.import_again(definitions).await;
        locked_down
    }

    /// Imports them once more, which makes again what is gone.
    pub async fn import_again(&self, definitions: &Value) {
        rabbitmqctl(&["import_definitions"], &definitions.to_string()).await;
    }

    /// As only an operator can.
    pub async fn delete_queue(&self, queue: &str) {
        rabbitmqctl(&["delete_queue", "--vhost", &self.vhost, queue], "").await;
    }

    /// Where `user` logs in.
    pub fn url(&self, user: &str, password: &str) -> Url {
        let mut url = environment::amqp_url();
        url.set_path(&self.vhost);
        url.set_username(user).expect("a URL with a host");
        url.set_password(Some(password)).expect("a URL with a host");
        url
    }
}

impl Drop for LockedDown {
    fn drop(&mut self) {
        let (vhost, users) = (self.vhost.clone(), self.users.clone());
        blocking::finish(async move {
            rabbitmqctl(&["delete_vhost", &vhost], "").await;
            for user in &users {
                rabbitmqctl(&["delete_user", user], "").await;
            }
        });
    }
}

async fn rabbitmqctl(args: &[&str], input: &str) {
    let line = environment::rabbitmqctl();
    let (program, first) = line.split_first().expect("a command line is not empty");
    let mut child = Command::new(program)
        .args(first)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("ANGARIUM_TEST_RABBITMQCTL cannot be run: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing may have ended before this.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(environment::patience(), child.wait_with_output()).await;
    let output = ended
        .unwrap_or_else(|_| panic!("rabbitmqctl {args:?} does not end"))
        .expect("its output");
    assert!(
        output.status.success(),
        "rabbitmqctl {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
