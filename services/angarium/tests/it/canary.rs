//! Marked values pass through the whole system, with the most verbose log. They appear only where SECURITY.md allows
//! it.

use std::fs::File;
use std::path::{Path, PathBuf};

use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{
    AuthenticateRequest, ChangePasswordRequest, CreateUserRequest, RefreshTokenRequest,
    RequestPasswordResetRequest, ResetPasswordRequest, UpdateUserRequest, User, VerifyEmailRequest,
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use testkit::{Collector, authorized, eventually};
use tonic::Status;
use tonic::transport::Channel;

use crate::process::{Process, command, run};

// Unique in this crate, and no word of any library.
const EMAIL: &str = "zyzzyva.canary@example.com";
const NAME: &str = "Xanthippe Canary";
const PASSWORD: &str = "quetzal-7-vermilion";
const WRONG: &str = "quetzal-8-wrong-one";
const NEXT: &str = "quetzal-9-cerulean";
const RESET: &str = "quetzal-10-magenta";

#[derive(Default)]
struct Secrets {
    values: Vec<String>,
    refusals: Vec<Status>,
}

impl Secrets {
    fn keep(&mut self, value: &str) {
        self.values.push(value.to_owned());
    }
}

#[tokio::test]
async fn no_output_has_passwords_tokens_or_codes_and_no_log_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let collector = Collector::start();
    let mut command = command(&data);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        // This level exceeds the default queue.
        .env("OTEL_BLRP_MAX_QUEUE_SIZE", "200000")
        .env("LOG_FILTER", "trace")
        .stderr(File::create(&log).unwrap());
    let process = Process::start(&mut command);
    let mut users = UserServiceClient::connect(process.users.clone())
        .await
        .unwrap();
    let mut secrets = Secrets::default();
    go_through_everything(&mut users, &data.join("mails"), &mut secrets).await;
    drop(users);
    assert_eq!(process.interrupt().code(), Some(0));
    let unreadable = make_unreadable(&data).await;
    let process = Process::start(&mut command);
    let listed = eventually("each event is dead, with all that it says", async || {
        let output =
            run(crate::process::command(&data).args(["dead-letters", "list", "order-service"]));
        let listed = String::from_utf8(output.stdout.clone()).unwrap();
        if listed.matches("  dead  ").count() as u64 == unreadable {
            Ok(output.stdout)
        } else {
            Err(output)
        }
    })
    .await;
    assert_eq!(process.interrupt().code(), Some(0));

    for secret in [PASSWORD, WRONG, NEXT, RESET] {
        secrets.keep(secret);
    }
    for code in secrets
        .values
        .clone()
        .iter()
        .filter(|value| value.contains('-'))
    {
        secrets.keep(&code.replace('-', ""));
    }
    let log = std::fs::read(&log).unwrap();
    assert!(contains(&log, "login_succeeded"));
    // All outputs of the process.
    let exported = collector.everything().into_bytes();
    for bytes in [&log, &exported] {
        assert!(contains(bytes, "UserService/ResetPassword") && contains(bytes, "no message id"));
    }
    let outputs = [
        ("the log", log),
        ("what is exported", exported),
        ("the list of dead letters", listed),
    ];
    for (way, bytes) in &outputs {
        for personal in [EMAIL, "zyzzyva", NAME, "Xanthippe", "$argon2id$"] {
            assert!(!contains(bytes, personal), "{personal} is in {way}");
        }
        for secret in &secrets.values {
            assert!(!contains(bytes, secret), "{secret} is in {way}");
        }
    }
    // Everything except the mails.
    let mut kept = files(&data);
    kept.retain(|path| !path.starts_with(data.join("mails")));
    assert!(kept.len() >= 4, "{kept:?}");
    for secret in &secrets.values {
        for path in &kept {
            let bytes = std::fs::read(path).unwrap();
            assert!(
                !contains(&bytes, secret),
                "{secret} is in {}",
                path.display()
            );
        }
        for refusal in &secrets.refusals {
            let answer = format!("{refusal:?} {}", String::from_utf8_lossy(refusal.details()));
            assert!(!answer.contains(secret.as_str()), "{answer}");
            assert!(!answer.contains("zyzzyva"), "{answer}");
        }
    }
}

/// Removes the type of every event of the user service in the order service's inbox: each becomes dead. Returns their
/// number.
async fn make_unreadable(data: &Path) -> u64 {
    let url = format!("sqlite://{}", data.join("order-service.db").display());
    let mut options = ConnectOptions::new(url);
    // An attached database belongs to one connection.
    options.max_connections(1);
    let orders = Database::connect(options).await.unwrap();
    let file = data.join("user-service.db");
    let attach = format!("ATTACH DATABASE '{}' AS users", file.display());
    orders.execute_unprepared(&attach).await.unwrap();
    let copied = orders
        .execute_unprepared(
            "INSERT INTO angarium_inbox (consumer, event_id, state, exchange, routing_key, properties, body, received_at, due_at)
             SELECT 'orders_queue', '00000000-0000-0000-0000-' || (100000000000 + sequence), 'deferred', exchange, routing_key, '{\"headers\": {}}', payload, 1, 1
             FROM users.angarium_outbox_history",
        )
        .await
        .unwrap();
    assert!(copied.rows_affected() > 3);
    orders.close().await.unwrap();
    copied.rows_affected()
}

/// Valid and invalid.
async fn go_through_everything(
    users: &mut UserServiceClient<Channel>,
    mails: &Path,
    secrets: &mut Secrets,
) {
    let request = CreateUserRequest {
        email: EMAIL.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: NAME.to_owned(),
        request_id: "01890a5d-ac96-474b-8cce-b302099a8057".to_owned(),
    };
    let user = users
        .create_user(request.clone())
        .await
        .unwrap()
        .into_inner();
    let user = user.user.unwrap();
    let twice = CreateUserRequest {
        request_id: String::new(),
        ..request
    };
    secrets
        .refusals
        .push(users.create_user(twice.clone()).await.unwrap_err());
    let invalid = CreateUserRequest {
        email: format!("{EMAIL}@"),
        password: "quetzal".to_owned(),
        ..twice
    };
    secrets
        .refusals
        .push(users.create_user(invalid).await.unwrap_err());

    let code = next_code(mails, secrets).await;
    let request = VerifyEmailRequest {
        code,
        ..VerifyEmailRequest::default()
    };
    users.verify_email(request.clone()).await.unwrap();
    secrets
        .refusals
        .push(users.verify_email(request).await.unwrap_err());

    let refused = log_in(users, WRONG, secrets).await.unwrap_err();
    secrets.refusals.push(refused);
    let (access, refresh) = log_in(users, PASSWORD, secrets).await.unwrap();
    let request = RefreshTokenRequest {
        refresh_token: refresh,
    };
    let answer = users
        .refresh_token(request.clone())
        .await
        .unwrap()
        .into_inner();
    let tokens = answer.tokens.unwrap();
    secrets.keep(&tokens.access_token);
    secrets.keep(&tokens.refresh_token);
    secrets
        .refusals
        .push(users.refresh_token(request).await.unwrap_err());

    let request = UpdateUserRequest {
        user: Some(User {
            user_id: user.user_id,
            email: format!("moved.{EMAIL}"),
            ..User::default()
        }),
        current_password: WRONG.to_owned(),
        ..UpdateUserRequest::default()
    };
    let refused = users.update_user(authorized(&access, request)).await;
    secrets.refusals.push(refused.unwrap_err());
    let request = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: NEXT.to_owned(),
        request_id: "01890a5d-ac96-474b-8cce-b302099a8058".to_owned(),
    };
    users
        .change_password(authorized(&access, request))
        .await
        .unwrap();

    let request = RequestPasswordResetRequest {
        email: EMAIL.to_owned(),
        ..RequestPasswordResetRequest::default()
    };
    users.request_password_reset(request).await.unwrap();
    let code = next_code(mails, secrets).await;
    let request = ResetPasswordRequest {
        code,
        new_password: RESET.to_owned(),
        ..ResetPasswordRequest::default()
    };
    users.reset_password(request.clone()).await.unwrap();
    secrets
        .refusals
        .push(users.reset_password(request).await.unwrap_err());
    log_in(users, RESET, secrets).await.unwrap();
}

async fn log_in(
    users: &mut UserServiceClient<Channel>,
    password: &str,
    secrets: &mut Secrets,
) -> Result<(String, String), Status> {
    let request = AuthenticateRequest {
        email: EMAIL.to_owned(),
        password: password.to_owned(),
        ..AuthenticateRequest::default()
    };
    let answer = users.authenticate(request).await?.into_inner();
    let tokens = answer.tokens.unwrap();
    secrets.keep(&tokens.access_token);
    secrets.keep(&tokens.refresh_token);
    Ok((tokens.access_token, tokens.refresh_token))
}

async fn next_code(mails: &Path, secrets: &mut Secrets) -> String {
    let code = eventually("a mail with another code", async || {
        let mut codes = files(mails)
            .into_iter()
            // A file has another name until it is complete.
            .filter_map(|path| angarium::demo::code_in(&std::fs::read_to_string(path).ok()?));
        codes
            .find(|code| !secrets.values.contains(code))
            .ok_or("none")
    })
    .await;
    secrets.keep(&code);
    code
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
