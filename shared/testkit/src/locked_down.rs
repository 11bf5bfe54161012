//! A virtual host on the test run's RabbitMQ in which an operator has declared everything; its users may declare
//! nothing. An [`Operator`] imports definitions and deletes users, which AMQP cannot.

use serde_json::Value;
use url::Url;

use crate::{Operator, blocking, environment};

mod operation;

pub use operation::Operation;

/// A virtual host and users for one test. Dropping it removes them.
pub struct LockedDown {
    operator: Operator,
    vhost: String,
    users: Vec<String>,
}

impl LockedDown {
    /// Imports definitions of one virtual host and its users.
    pub async fn import(definitions: &Value) -> Self {
        let name = |thing: &Value| thing["name"].as_str().expect("a name").to_owned();
        let list = |key: &str| definitions[key].as_array().expect("a list").clone();
        let locked_down = Self {
            operator: Operator::of_test_run(),
            vhost: name(list("vhosts").first().expect("a virtual host")),
            users: list("users").iter().map(name).collect(),
        };
        locked_down.import_again(definitions).await;
        locked_down
    }

    /// Imports them again: recreates what is missing.
    pub async fn import_again(&self, definitions: &Value) {
        let definitions = definitions.to_string();
        let import = self
            .operator
            .run_with(&["import_definitions"], &definitions);
        import.await;
    }

    /// As only an operator can.
    pub async fn delete_queue(&self, queue: &str) {
        let delete = ["delete_queue", "--vhost", &self.vhost, queue];
        self.operator.run(&delete).await;
    }

    /// The URL for `user`.
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
        let (operator, vhost, users) = (
            self.operator.clone(),
            self.vhost.clone(),
            self.users.clone(),
        );
        blocking::finish(async move {
            let users: Vec<&str> = users.iter().map(String::as_str).collect();
            operator.delete(&vhost, &users).await;
        });
    }
}
