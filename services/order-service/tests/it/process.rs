//! The binary and its command line.

use std::process::Command;

use testkit::{StoreKind, eventually_is};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::Fixture;

#[test]
fn a_process_without_settings_names_all_required_ones() {
    let binary = env!("CARGO_BIN_EXE_order-service");
    let output = Command::new(binary).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(BAD_CONFIGURATION));
    let said = String::from_utf8(output.stderr).unwrap();
    for setting in ["DATABASE_URL", "AMQP_URL"] {
        assert!(said.contains(setting), "{setting}: {said}");
    }
}

#[tokio::test]
async fn health_has_names_for_the_service_and_its_broker() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    for name in [
        "angarium.order.v1.OrderService",
        "angarium.order.v1.OrderService/broker",
        "angarium.order.v1.OrderService/consumer",
    ] {
        eventually_is("it serves", ServingStatus::Serving, async || {
            let request = HealthCheckRequest {
                service: name.to_owned(),
            };
            let answer = HealthClient::new(fixture.channel()).check(request).await;
            answer.unwrap().into_inner().status()
        })
        .await;
    }
    fixture.stop().await;
}

/// In all of our programs.
const BAD_CONFIGURATION: i32 = 64;
