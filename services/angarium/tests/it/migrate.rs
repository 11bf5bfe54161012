//! The command `migrate`, and services with a database user that may not change the schema.

use angarium::registry::SERVICES;
use sea_orm::ConnectionTrait as _;
use testkit::{Database, StoreKind};
use url::Url;
use uuid::Uuid;

use crate::process::{Process, command};
use crate::sudden_death::both_mails;

/// It may only read and write rows.
struct Clerk {
    name: String,
    url: Url,
    owner: store::Database,
}

impl Clerk {
    async fn of(database: &Database) -> Self {
        let owner = database.connect().await;
        let name = format!("clerk_{}", Uuid::now_v7().simple());
        let making = format!(
            "CREATE ROLE {name} LOGIN PASSWORD 'clerk';
             GRANT TEMPORARY ON DATABASE {} TO {name};",
            database.url().rsplit('/').next().unwrap()
        );
        owner.execute_unprepared(&making).await.unwrap();
        for schema in SERVICES.iter().map(|service| service.definition.name) {
            let schema = schema.replace('-', "_");
            let granting = format!(
                "GRANT USAGE ON SCHEMA {schema} TO {name};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {name};"
            );
            owner.execute_unprepared(&granting).await.unwrap();
        }
        let mut url: Url = database.url().parse().unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("clerk")).unwrap();
        Self { name, url, owner }
    }

    async fn leave(self) {
        let leaving = format!("DROP OWNED BY {0}; DROP ROLE {0};", self.name);
        self.owner.execute_unprepared(&leaving).await.unwrap();
    }
}

#[tokio::test]
async fn services_without_schema_rights_run_after_the_migration() {
    let database = Database::create(StoreKind::Postgres).await;
    let folder = tempfile::tempdir().unwrap();
    let mut migrating = command(folder.path());
    migrating.arg("migrate").env("DATABASE_URL", database.url());
    let output = migrating.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for service in SERVICES.iter().map(|service| service.definition.name) {
        assert!(
            said.contains(&format!("{service}: applied m2026")),
            "{said}"
        );
    }
    let clerk = Clerk::of(&database).await;
    let mut command = command(folder.path());
    command
        .env("DATABASE_URL", clerk.url.as_str())
        .env("MIGRATE", "off");
    let process = Process::start(&mut command);
    let account = process.register("ada@example.com").await.unwrap();
    both_mails(&process, &account).await;
    assert_eq!(process.interrupt().code(), Some(0));
    clerk.leave().await;
}

#[tokio::test]
async fn a_start_that_only_checks_ends_with_exit_code_78() {
    for database in [Some(Database::create(StoreKind::Postgres).await), None] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(folder.path());
        command.arg("serve").env("MIGRATE", "check");
        if let Some(database) = &database {
            command.env("DATABASE_URL", database.url());
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("run the command `migrate`"), "{said}");
    }
}
