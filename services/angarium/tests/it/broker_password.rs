//! A broker that refuses a service: the log has the reason, calls continue, and no restart is needed.

use std::fs::File;
use std::path::Path;

use testkit::{Broker, Operator, VirtualHost, eventually, eventually_is};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::process::{Process, broker_settings, command};
use crate::sudden_death::both_mails;

#[tokio::test]
async fn a_changed_password_shows_in_health_and_needs_no_restart() {
    let server = testkit::amqp_url();
    let host = VirtualHost::create(&Operator::of_test_run(), &server).await;
    let (url, _) = broker_settings(&Broker::of(&host));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = command(folder.path());
    command
        .env("AMQP_URL", url)
        .stderr(File::create(&log).unwrap());
    let process = Process::start(&mut command);
    let first = process.register("ada@example.com").await.unwrap();
    both_mails(&process, &first).await;
    broker_is(&process, ServingStatus::Serving).await;

    host.change_password().await;
    host.close_connections().await;
    broker_is(&process, ServingStatus::NotServing).await;
    for who in ["relay", "consumer"] {
        says(&log, &format!("the {who} starts over"), "ACCESS_REFUSED").await;
    }
    // A call needs only the database.
    let second = process.register("grace@example.com").await.unwrap();
    assert_eq!(
        status(&process.users, "angarium.user.v1.UserService").await,
        ServingStatus::Serving
    );

    host.restore_password().await;
    both_mails(&process, &second).await;
    broker_is(&process, ServingStatus::Serving).await;
    assert_eq!(process.interrupt().code(), Some(0));
    let said = std::fs::read_to_string(&log).unwrap();
    let password = host.url().password().unwrap();
    assert!(!said.contains(password), "{said}");
}

/// Of the publishing and of the consuming part.
async fn broker_is(process: &Process, expected: ServingStatus) {
    for (address, name) in [
        (&process.users, "angarium.user.v1.UserService/broker"),
        (
            &process.notifications,
            "angarium.notification.v1.NotificationService/broker",
        ),
    ] {
        eventually_is(name, expected, async || status(address, name).await).await;
    }
}

pub(crate) async fn status(address: &str, name: &str) -> ServingStatus {
    let endpoint = Endpoint::from_shared(address.to_owned()).unwrap();
    let mut health = HealthClient::new(endpoint.connect().await.unwrap());
    let service = name.to_owned();
    let answer = health.check(HealthCheckRequest { service }).await;
    answer.unwrap().into_inner().status()
}

/// Waits for a log line with both texts.
async fn says(log: &Path, what: &str, why: &str) {
    eventually(&format!("{what}: {why}"), async || {
        let said = std::fs::read_to_string(log).unwrap();
        let mut lines = said.lines();
        let is_said = lines.any(|line| line.contains(what) && line.contains(why));
        if is_said { Ok(()) } else { Err(said) }
    })
    .await;
}
