//! One trace, one correlation id and the allowed baggage, from the call to the last effect.

use std::sync::OnceLock;

use contracts::notification::v1::NotificationKind;
use contracts::user::v1::CreateUserRequest;
use rstest::rstest;
use runtime::config::TelemetryConfig;
use runtime::telemetry::Guard;
use testkit::Stack;
use tonic::Request;

use crate::system::Running;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[rstest]
#[tokio::test]
async fn the_callers_trace_and_correlation_id_reach_every_row(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    // Once per process, for its whole life: the cases run in parallel.
    static TELEMETRY: OnceLock<Guard> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let config = TelemetryConfig {
            filter: "error".to_owned(),
            baggage_keys: vec!["tenant".to_owned()],
            ..TelemetryConfig::default()
        };
        runtime::telemetry::init(&config, "test").unwrap()
    });
    let system = Running::start(stack).await;
    let mut request = Request::new(CreateUserRequest {
        email: "ada@example.com".to_owned(),
        password: "correct horse battery staple".to_owned(),
        display_name: "Ada".to_owned(),
        ..CreateUserRequest::default()
    });
    request.metadata_mut().insert(
        "traceparent",
        format!("00-{TRACE_ID}-00f067aa0ba902b7-01")
            .parse()
            .unwrap(),
    );
    request
        .metadata_mut()
        .insert("baggage", "tenant=blue,session=secret".parse().unwrap());
    request
        .metadata_mut()
        .insert("x-correlation-id", "call-42".parse().unwrap());
    let answer = system.users.clone().create_user(request).await.unwrap();
    assert_eq!(
        answer.metadata().get("x-correlation-id").unwrap(),
        "call-42"
    );
    let user_id = answer.into_inner().user.unwrap().user_id;
    system.sent(&user_id, NotificationKind::Welcome).await;

    for service in [user_service::NAME, notification_service::NAME] {
        let rows = system
            .query(
                service,
                "SELECT traceparent, baggage, correlation_id FROM angarium_outbox WHERE event_type NOT LIKE '%KeyPublished'
                 UNION ALL
                 SELECT traceparent, baggage, correlation_id FROM angarium_outbox_history WHERE event_type NOT LIKE '%KeyPublished'",
            )
            .await;
        // For the user and the verification mail; for both mails.
        assert!(!rows.is_empty(), "{service}");
        for row in rows {
            let traceparent: Option<String> = row.try_get("", "traceparent").unwrap();
            assert!(
                traceparent
                    .as_deref()
                    .is_some_and(|parent| parent.contains(TRACE_ID)),
                "{service}: {traceparent:?}"
            );
            // Of the caller's baggage, the entries that the configuration allows.
            let baggage: Option<String> = row.try_get("", "baggage").unwrap();
            assert_eq!(baggage.as_deref(), Some("tenant=blue"), "{service}");
            let correlation_id: String = row.try_get("", "correlation_id").unwrap();
            assert_eq!(correlation_id, "call-42", "{service}");
        }
    }
    system.stop().await;
}
