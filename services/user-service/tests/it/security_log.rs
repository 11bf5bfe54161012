//! Security events are log lines with event and user, and without secrets.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use contracts::user::v1::user_service_server::UserService as _;
use contracts::user::v1::{
    AuthenticateRequest, ChangePasswordRequest, DeleteUserRequest, GetUserRequest,
    RefreshTokenRequest,
};
use testkit::StoreKind;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::bench::{Bench, by, from};
use crate::samples::{PASSWORD, ada, new_id};

#[tokio::test]
async fn security_events_are_logged_with_ids_and_without_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(move || writer.clone())
        .with_ansi(false);
    let subscriber = tracing_subscriber::registry()
        .with(Targets::new().with_target("security", tracing::Level::TRACE))
        .with(lines);
    // With a single subscriber, tracing asks the first thread that reaches a log statement whether it is wanted, and
    // caches the answer. With two, each is asked.
    let _second = Dispatch::new(tracing_subscriber::registry());
    let (user_id, tokens) = go_through_it().with_subscriber(subscriber).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for event in [
        "signing_key_made",
        "user_registered",
        "registration_refused",
        "login_succeeded",
        "login_failed",
        "login_throttled",
        "refresh_token_reused",
        "not_the_owner",
        "password_wrong",
        "password_changed",
        "user_deleted",
    ] {
        assert!(log.contains(event), "{event} is not in {log}");
    }
    assert!(log.contains(&user_id) && log.contains("203.0.113.7"));
    for secret in [PASSWORD, "another password", "ada@example.com", "Lovelace"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    assert!(tokens.iter().all(|token| !log.contains(token)));
}

/// Every kind of line at least once. Returns the user's id and the issued tokens.
async fn go_through_it() -> (String, Vec<String>) {
    let bench = Bench::new(StoreKind::Sqlite).await;
    let users = &bench.users;
    let created = users.create_user(from("203.0.113.7", ada())).await.unwrap();
    let user_id = created.into_inner().user.unwrap().user_id;
    let again = users.create_user(from("203.0.113.7", ada())).await;
    again.unwrap_err();
    let log_in = async |password: &str| {
        let request = AuthenticateRequest {
            email: "ada@example.com".to_owned(),
            password: password.to_owned(),
            ..AuthenticateRequest::default()
        };
        users.authenticate(from("203.0.113.7", request)).await
    };
    let tokens = log_in(PASSWORD).await.unwrap().into_inner().tokens.unwrap();
    for _ in 0..2 {
        let request = RefreshTokenRequest {
            refresh_token: tokens.refresh_token.clone(),
        };
        let _ = users.refresh_token(from("203.0.113.7", request)).await;
    }
    let other = GetUserRequest { user_id: new_id() };
    users.get_user(by(&user_id, other)).await.unwrap_err();
    for current in ["a wrong password", PASSWORD] {
        let request = ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: "another password".to_owned(),
            ..ChangePasswordRequest::default()
        };
        let changed = users.change_password(by(&user_id, request)).await;
        assert_eq!(changed.is_ok(), current == PASSWORD);
    }
    let session = log_in("another password").await.unwrap().into_inner();
    let caller = bench.caller_of(&session.tokens.unwrap().access_token);
    for _ in 0..6 {
        log_in("a wrong password").await.unwrap_err();
    }
    bench.wait(3600);
    let request = DeleteUserRequest {
        user_id: user_id.clone(),
        current_password: "another password".to_owned(),
        ..DeleteUserRequest::default()
    };
    let mut request = from("203.0.113.7", request);
    request.extensions_mut().insert(caller);
    users.delete_user(request).await.unwrap();
    (user_id, vec![tokens.access_token, tokens.refresh_token])
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
