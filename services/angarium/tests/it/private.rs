//! Only the owner can read the process's files, and production writes no mails into files.

use std::os::unix::fs::PermissionsExt as _;

use testkit::eventually;

use crate::process::{Process, command};

/// Only the tested setting is invalid.
fn in_production(data: &std::path::Path) -> std::process::Command {
    let mut command = command(data);
    command
        .env("MODE", "production")
        .env("GRPC_PLAINTEXT", "allow")
        .env("SMTP_URL", "smtp://127.0.0.1:1")
        .env("SECRET_KEY", "J5yH0f1Qmz8xKc3vWbR7uTq2LsPd9NaE")
        .env("MAIL_SEALING_KEY", "Q8m1zXc5vBn7aSd9fGh2jKl4qWe6rTy3");
    command
}

fn refused(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn only_the_owner_reads_databases_queue_file_and_mails() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(&mut command(&data));
    process.register("ada@example.com").await.unwrap();
    eventually("a mail is there", async || {
        let mails = std::fs::read_dir(data.join("mails")).unwrap();
        let is_mail = |entry: &std::fs::DirEntry| entry.path().extension().is_some();
        mails.map(Result::unwrap).find(is_mail).ok_or("none")
    })
    .await;
    let files = std::fs::read_dir(&data).unwrap().count();
    assert!(files > 4, "databases, queue file and mails: {files}");
    let loose = store::private::loose(&data).unwrap();
    assert!(loose.is_empty(), "{loose:?}");
    drop(process);
}

#[test]
fn production_refuses_a_folder_that_others_may_read() {
    let data = tempfile::tempdir().unwrap();
    store::private::tighten(data.path()).unwrap();
    let database = data.path().join("user-service.db");
    std::fs::write(&database, "").unwrap();
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&database, readable).unwrap();
    let said = refused(&mut in_production(data.path()));
    assert!(
        said.contains("user-service.db") && said.contains("chmod"),
        "{said}"
    );
}

#[test]
fn production_requires_a_mail_server() {
    let data = tempfile::tempdir().unwrap();
    let said = refused(
        in_production(data.path())
            .env("SMTP_URL", "")
            .env("MAIL_DIR", "mails"),
    );
    assert!(said.contains("SMTP_URL"), "{said}");
}
