//! `kill -9` at critical moments: the next start completes acknowledged work, once.

use std::path::Path;

use contracts::notification::v1::NotificationState;
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database};
use testkit::{Broker, BrokerKind, StoreKind, eventually};
use tonic::Code;

use crate::process::{Account, Process, broker_settings, command};

async fn sqlite(path: &Path) -> store::Database {
    let mut options = ConnectOptions::new(format!("sqlite://{}", path.display()));
    options.max_connections(1);
    Database::connect(options).await.unwrap().into()
}

async fn pending(db: &store::Database, table: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) AS pending FROM {table}
         WHERE event_type = 'angarium.user.v1.UserCreated'"
    );
    let row = db
        .query_one_raw(sea_orm::Statement::from_string(
            db.get_database_backend(),
            sql,
        ))
        .await
        .unwrap();
    row.unwrap().try_get("", "pending").unwrap()
}

/// A machine under load may refuse calls.
async fn registered(process: &Process, email: &str) -> Account {
    eventually("the call is not turned away", async || {
        match process.register(email).await {
            Err(status) if status.code() == Code::Unavailable => Err(status),
            answer => Ok(answer),
        }
    })
    .await
    .unwrap()
}

/// A welcome and the verification code: each once.
pub(crate) async fn both_mails(process: &Process, account: &Account) {
    let token = eventually("the account can log in", async || {
        let token = process.log_in(account).await;
        token.map_err(|status| format!("{status}"))
    })
    .await;
    let sent = eventually("both mails are sent", async || {
        let mails = process
            .mails(account, &token)
            .await
            .map_err(|status| format!("{status}"))?;
        let are_sent = mails
            .iter()
            .all(|mail| mail.state() == NotificationState::Sent);
        if are_sent && mails.len() >= 2 {
            Ok(mails)
        } else {
            Err(format!("{mails:?}"))
        }
    })
    .await;
    assert_eq!(sent.len(), 2);
}

#[tokio::test]
async fn embedded_a_committed_event_is_delivered_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&mut command(folder.path()));
    // The test locks the queue file: commands commit into their own files, but the relay cannot publish.
    let queue_file = sqlite(&folder.path().join("events.db")).await;
    queue_file
        .execute_unprepared("BEGIN IMMEDIATE")
        .await
        .unwrap();
    let account = registered(&process, "ada@example.com").await;
    let users = sqlite(&folder.path().join("user-service.db")).await;
    assert_eq!(pending(&users, "angarium_outbox").await, 1);

    process.kill();
    queue_file.execute_unprepared("ROLLBACK").await.unwrap();
    assert_eq!(pending(&users, "angarium_outbox").await, 1);
    drop((queue_file, users));

    let process = Process::start(&mut command(folder.path()));
    both_mails(&process, &account).await;
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn on_servers_a_committed_event_is_delivered_after_the_restart() {
    let database = testkit::Database::create(StoreKind::Postgres).await;
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::create(BrokerKind::RabbitMq).await;
    let (url, prefix) = broker_settings(&broker);
    let with_broker = |url: &str| {
        let mut command = command(folder.path());
        command
            .env("DATABASE_URL", database.url())
            .env("AMQP_PREFIX", &prefix)
            .env("AMQP_URL", url);
        command
    };
    // No server listens on port 1.
    let process = Process::start(&mut with_broker("amqp://127.0.0.1:1"));
    let account = registered(&process, "ada@example.com").await;
    let db = database.connect().await;
    assert_eq!(pending(&db, "user_service.angarium_outbox").await, 1);

    process.kill();
    let process = Process::start(&mut with_broker(&url));
    both_mails(&process, &account).await;
    assert_eq!(pending(&db, "user_service.angarium_outbox").await, 0);
    assert_eq!(process.interrupt().code(), Some(0));
}

#[tokio::test]
async fn embedded_each_mail_is_sent_once_despite_several_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut registered = Vec::new();
    for death in 0..3 {
        let process = Process::start(&mut command(folder.path()));
        for caller in 0..6 {
            registered.push(
                process
                    .register(&format!("user-{death}-{caller}@example.com"))
                    .await
                    .unwrap(),
            );
        }
        // The last mails are in different stages.
        process.kill();
    }
    let process = Process::start(&mut command(folder.path()));
    for account in &registered {
        both_mails(&process, account).await;
    }
    let files = std::fs::read_dir(folder.path().join("mails"))
        .unwrap()
        .count();
    assert_eq!(files, 2 * registered.len());
}

#[tokio::test]
async fn asked_to_end_it_ends_well_and_leaves_nothing_unpublished() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&mut command(folder.path()));
    for caller in 0..20 {
        process
            .register(&format!("user-{caller}@example.com"))
            .await
            .unwrap();
    }
    assert_eq!(process.interrupt().code(), Some(0));
    let users = sqlite(&folder.path().join("user-service.db")).await;
    assert_eq!(pending(&users, "angarium_outbox").await, 0);
}
