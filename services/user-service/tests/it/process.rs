//! The binary and its command line.

use std::ffi::OsString;
use std::process::Command;

use runtime::config::GrpcConfig;
use testkit::{StoreKind, call_unchecked, eventually_is};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use user_service::Args;

use crate::fixture::Fixture;

#[test]
fn a_process_without_settings_names_all_required_ones() {
    let binary = env!("CARGO_BIN_EXE_user-service");
    let output = Command::new(binary).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(BAD_CONFIGURATION));
    let said = String::from_utf8(output.stderr).unwrap();
    for setting in ["DATABASE_URL", "AMQP_URL"] {
        assert!(said.contains(setting), "{setting}: {said}");
    }
}

#[test]
fn production_refuses_missing_short_or_well_known_keys() {
    let binary = env!("CARGO_BIN_EXE_user-service");
    let well_known = runtime::sealed::MasterKey::WELL_KNOWN;
    let short = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(short.path(), "hunter2\n").unwrap();
    for (variable, value) in [
        ("UNRELATED", ""),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "hunter2"),
        ("SECRET_KEY", well_known),
        ("SECRET_KEY_FILE", short.path().to_str().unwrap()),
    ] {
        let mut command = Command::new(binary);
        command.env_clear().env("MODE", "production");
        command.env("DATABASE_URL", "postgres://user@127.0.0.1:1/none");
        command.env("AMQP_URL", "amqp://127.0.0.1:1");
        command.env(variable, value);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(BAD_CONFIGURATION));
        let said = String::from_utf8(output.stderr).unwrap();
        for setting in ["SECRET_KEY (", "MAIL_SEALING_KEY ("] {
            assert!(said.contains(setting), "{setting}: {said}");
        }
        assert!(
            !said.contains("hunter2") && !said.contains(well_known),
            "{said}"
        );
    }
}

#[test]
fn two_equal_keys_end_the_start() {
    let binary = env!("CARGO_BIN_EXE_user-service");
    let key = "J5yH0f1Qmz8xKc3vWbR7uTq2LsPd9NaE";
    let mut command = Command::new(binary);
    command.env_clear().env("MODE", "production");
    command.env("DATABASE_URL", "postgres://user@127.0.0.1:1/none");
    command.env("AMQP_URL", "amqp://127.0.0.1:1");
    command.env("SECRET_KEY", key);
    command.env("MAIL_SEALING_KEY", format!("{key}\n"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(BAD_CONFIGURATION));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("SECRET_KEY and MAIL_SEALING_KEY have the same value"),
        "{said}"
    );
    assert!(!said.contains(key), "{said}");
}

/// An unknown method is unimplemented.
#[tokio::test]
async fn in_production_reflection_is_off_unless_it_is_asked_for() {
    const REFLECTION: &str = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    for (arguments, is_on) in [
        (&["user-service"][..], true),
        (&["user-service", "--mode=production"], false),
        (
            &["user-service", "--mode=production", "--grpc-reflection=on"],
            true,
        ),
    ] {
        let grpc = grpc_config(arguments);
        assert_eq!(grpc.reflection, is_on, "{arguments:?}");
        let fixture = Fixture::with_grpc(grpc).await;
        let answer = call_unchecked(fixture.channel(), REFLECTION, None).await;
        let code = answer.err().map(|status| status.code());
        assert_eq!(code == Some(Code::Unimplemented), !is_on, "{code:?}");
        fixture.stop().await;
    }
}

fn grpc_config(arguments: &[&str]) -> GrpcConfig {
    let given = [
        "--grpc-listen=127.0.0.1:0",
        "--database-url=postgres://user@127.0.0.1:1/none",
        "--amqp-url=amqp://127.0.0.1:1",
        "--grpc-plaintext=allow",
        "--secret-key=a key of thirty-two bytes or more",
        "--mail-sealing-key=another key of thirty-two bytes or more",
    ];
    let arguments = arguments.iter().chain(&given).map(OsString::from);
    let config = runtime::config::load::<Args>(arguments);
    config.unwrap_or_else(|error| panic!("{error}")).common.grpc
}

#[tokio::test]
async fn health_has_names_for_the_service_and_its_broker() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    for name in [
        "angarium.user.v1.UserService",
        "angarium.user.v1.UserService/broker",
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
