//! The binary under test as a child process, and calls to it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use angarium::registry::SERVICES;
use contracts::notification::v1::notification_service_client::NotificationServiceClient;
use contracts::notification::v1::{ListNotificationsRequest, Notification};
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{AuthenticateRequest, CreateUserRequest};
use messaging::transport;
use testkit::{Broker, authorized};

pub(crate) const PASSWORD: &str = "correct horse battery staple";

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) user_id: String,
    pub(crate) email: String,
}

/// Ends with its test.
pub(crate) struct Process {
    child: Child,
    pub(crate) users: String,
    pub(crate) orders: String,
    pub(crate) notifications: String,
    /// The name and the URL of each registered service.
    pub(crate) endpoints: Vec<(&'static str, String)>,
}

/// Without settings from the tests' environment. It waits long for a connection to the database, because a call that fails
/// on a busy machine says nothing about the program.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_angarium"));
    for name in [
        "DATABASE_URL",
        "AMQP_URL",
        "AMQP_PREFIX",
        "SMTP_URL",
        "MAIL_DIR",
        "LOG_FORMAT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ] {
        command.env_remove(name);
    }
    command
        .env("DATA_DIR", data)
        .env("DATABASE_ACQUIRE_TIMEOUT", "20s")
        .env("GRPC_LISTEN", "127.0.0.1:0")
        .env("LOG_FILTER", "warn");
    command.stdin(Stdio::null());
    command
}

impl Process {
    /// Returns after the process has printed its addresses.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |service: &str| {
            let line = lines
                .by_ref()
                .map(Result::unwrap)
                .find(|line| line.trim_start().starts_with(service));
            let line = line.unwrap_or_else(|| {
                panic!("angarium ended before it named the address of {service}")
            });
            format!("http://{}", line.split_whitespace().nth(1).unwrap())
        };
        let endpoints: Vec<_> = SERVICES
            .iter()
            .map(|service| (service.definition.name, address(service.title)))
            .collect();
        let of = |name: &str| {
            let mut endpoints = endpoints.iter();
            let (_, url) = endpoints.find(|(service, _)| *service == name).unwrap();
            url.clone()
        };
        let (users, orders) = (of("user-service"), of("order-service"));
        let notifications = of("notification-service");
        // The process must not block on its output.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            users,
            orders,
            notifications,
            endpoints,
        }
    }

    /// Like a power cut.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Like Ctrl-C.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap()
    }

    pub(crate) async fn register(&self, email: &str) -> Result<Account, tonic::Status> {
        let mut users = UserServiceClient::connect(self.users.clone())
            .await
            .map_err(|error| away(&error))?;
        let request = CreateUserRequest {
            email: email.to_owned(),
            password: PASSWORD.to_owned(),
            display_name: "Ada".to_owned(),
            ..CreateUserRequest::default()
        };
        let created = users.create_user(request).await?.into_inner();
        Ok(Account {
            user_id: created.user.unwrap().user_id,
            email: email.to_owned(),
        })
    }

    pub(crate) async fn log_in(&self, account: &Account) -> Result<String, tonic::Status> {
        let mut users = UserServiceClient::connect(self.users.clone())
            .await
            .map_err(|error| away(&error))?;
        let request = AuthenticateRequest {
            email: account.email.clone(),
            password: PASSWORD.to_owned(),
            ..AuthenticateRequest::default()
        };
        let answer = users.authenticate(request).await?.into_inner();
        Ok(answer.tokens.unwrap().access_token)
    }

    /// Repeats refused calls: a machine under load may refuse them, and a service that has just started gets the keys a
    /// moment later.
    pub(crate) async fn mails(
        &self,
        account: &Account,
        token: &str,
    ) -> Result<Vec<Notification>, tonic::Status> {
        let mut notifications = NotificationServiceClient::connect(self.notifications.clone())
            .await
            .map_err(|error| away(&error))?;
        let request = ListNotificationsRequest {
            user_id: account.user_id.clone(),
            ..Default::default()
        };
        Ok(notifications
            .list_notifications(authorized(token, request))
            .await?
            .into_inner()
            .notifications)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(command: &mut Command) -> Output {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

/// `AMQP_URL` and `AMQP_PREFIX`. The broker removes everything that the services declare.
pub(crate) fn broker_settings(broker: &Broker) -> (String, String) {
    let services = SERVICES.iter().map(|service| &service.definition);
    let topologies: Vec<transport::Topology> = services
        .map(|service| service.participant().topology())
        .collect();
    match broker.of_services(&topologies) {
        transport::Broker::RabbitMq(config) => (config.url.to_string(), config.prefix),
        transport::Broker::Embedded(_) => panic!("an embedded broker has no URL"),
    }
}

fn away(error: &tonic::transport::Error) -> tonic::Status {
    tonic::Status::unavailable(error.to_string())
}
