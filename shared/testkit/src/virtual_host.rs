//! A virtual host and a user on RabbitMQ for one test: an operator's actions there affect no other test.

use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::{Operator, blocking};

/// A virtual host. Dropping it deletes it.
pub struct VirtualHost {
    operator: Operator,
    name: String,
    url: Url,
}

impl VirtualHost {
    /// Creates one on the broker of `server`. Its user has all permissions.
    pub async fn create(operator: &Operator, server: &Url) -> Self {
        let name = format!("test-{}", Uuid::now_v7().simple());
        let password = Uuid::new_v4().simple().to_string();
        // One command, because each starts a VM.
        let definitions = json!({
            "vhosts": [{ "name": name }],
            "users": [{ "name": name, "password": password, "tags": [] }],
            "permissions": [{
                "vhost": name, "user": name, "configure": ".*", "write": ".*", "read": ".*"
            }],
        });
        operator
            .run_with(&["import_definitions"], &definitions.to_string())
            .await;
        let mut url = server.clone();
        url.set_path(&name);
        url.set_username(&name).expect("a URL with a host");
        url.set_password(Some(&password))
            .expect("a URL with a host");
        Self {
            operator: operator.clone(),
            name,
            url,
        }
    }

    /// The URL for its user.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Closes every connection on the broker's side.
    pub async fn close_connections(&self) {
        let close = [
            "close_all_connections",
            "--vhost",
            &self.name,
            "closed by an operator",
        ];
        self.operator.run(&close).await;
    }

    /// These columns of its queues.
    pub async fn queues(&self, columns: &[&str]) -> Vec<Vec<String>> {
        let list = [
            "list_queues",
            "--quiet",
            "--no-table-headers",
            "-p",
            &self.name,
        ];
        rows(&self.operator.run(&[&list[..], columns].concat()).await)
    }

    /// This column of its open channels.
    pub async fn channels(&self, column: &str) -> Vec<String> {
        let list = [
            "list_channels",
            "--quiet",
            "--no-table-headers",
            "vhost",
            column,
        ];
        let mut rows = rows(&self.operator.run(&list).await);
        rows.retain(|row| row.first() == Some(&self.name));
        rows.into_iter().filter_map(|mut row| row.pop()).collect()
    }

    /// Its connections: client names, and heartbeats in seconds.
    pub async fn connections(&self) -> Vec<(String, u32)> {
        let list = [
            "list_connections",
            "--quiet",
            "--no-table-headers",
            "vhost",
            "timeout",
            "client_properties",
        ];
        let mut rows = rows(&self.operator.run(&list).await);
        rows.retain(|row| row.len() == 3 && row[0] == self.name);
        // Erlang syntax: [{"connection_name","test consume"}, …].
        let name = |properties: &str| {
            let (_, name) = properties.split_once(r#"{"connection_name",""#)?;
            Some(name.split_once('"')?.0.to_owned())
        };
        rows.into_iter()
            .map(|row| {
                let heartbeat_s = row[1].parse().expect("seconds");
                (name(&row[2]).unwrap_or_default(), heartbeat_s)
            })
            .collect()
    }

    /// Permits its user only names that match `pattern` to configure, write and read.
    pub async fn permit(&self, pattern: &str) {
        let name = &self.name;
        let grant = [
            "set_permissions",
            "-p",
            name,
            name,
            pattern,
            pattern,
            pattern,
        ];
        self.operator.run(&grant).await;
    }

    /// Changes its user's password: new connections are refused.
    pub async fn change_password(&self) {
        let other = Uuid::new_v4().simple().to_string();
        let change = ["change_password", &self.name, &other];
        self.operator.run(&change).await;
    }

    /// Restores the password of the URL.
    pub async fn restore_password(&self) {
        let password = self.url.password().expect("it was set");
        let change = ["change_password", &self.name, password];
        self.operator.run(&change).await;
    }
}

fn rows(table: &str) -> Vec<Vec<String>> {
    let columns = |line: &str| line.split('\t').map(str::to_owned).collect();
    table.lines().map(columns).collect()
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        let (operator, name) = (self.operator.clone(), self.name.clone());
        blocking::finish(async move {
            operator.delete(&name, &[&name]).await;
        });
    }
}
