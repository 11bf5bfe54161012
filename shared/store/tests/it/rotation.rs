//! A password that is rotated while the process runs.

use sea_orm::ConnectionTrait as _;
use store::{DatabaseConfig, Doubt, Transaction, Writable};
use testkit::{Database, StoreKind};
use url::Url;
use uuid::Uuid;

struct Rotated {
    name: String,
    owner: store::Database,
    database: Database,
    folder: tempfile::TempDir,
}

impl Rotated {
    async fn new() -> Self {
        let database = Database::create(StoreKind::Postgres).await;
        let owner = database.connect().await;
        let name = format!("rotated_{}", Uuid::now_v7().simple());
        let making = format!("CREATE ROLE {name} LOGIN");
        owner.execute_unprepared(&making).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self {
            name,
            owner,
            database,
            folder,
        }
    }

    fn config(&self) -> DatabaseConfig {
        let file = self.folder.path().join("database-url");
        DatabaseConfig {
            url_file: Some(file.clone()),
            ..DatabaseConfig::new(store::read_secret(&file).unwrap())
        }
    }

    async fn set(&self, password: &str) {
        let changing = format!("ALTER ROLE {} PASSWORD '{password}'", self.name);
        self.owner.execute_unprepared(&changing).await.unwrap();
        let mut url: Url = self.database.url().parse().unwrap();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(password)).unwrap();
        let file = self.folder.path().join("database-url");
        std::fs::write(file, format!("{url}\n")).unwrap();
        let ending = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
            self.name
        );
        self.owner.execute_unprepared(&ending).await.unwrap();
    }

    async fn end(self) {
        let dropping = format!("DROP ROLE {}", self.name);
        self.owner.execute_unprepared(&dropping).await.unwrap();
    }
}

#[tokio::test]
async fn after_a_rotation_the_next_call_but_one_works() {
    let rotated = Rotated::new().await;
    rotated.set("one").await;
    let db = store::connect(&rotated.config(), "test").await.unwrap();
    let begin = async || match Transaction::begin(&db).await {
        Ok(transaction) => transaction.commit().await,
        Err(error) => Err(error),
    };
    begin().await.unwrap();
    for password in ["two", "three"] {
        rotated.set(password).await;
        let _ = begin().await;
        begin().await.unwrap();
    }
    db.close().await.unwrap();
    rotated.end().await;
}

#[tokio::test]
async fn the_health_check_finds_a_rotation_before_a_call_does() {
    let rotated = Rotated::new().await;
    rotated.set("one").await;
    let db = store::connect(&rotated.config(), "test").await.unwrap();
    let writable = Writable::new(db.clone(), Doubt::new());
    for password in ["two", "three"] {
        rotated.set(password).await;
        writable.check().await;
        assert!(writable.check().await);
        let select = "SELECT 1 AS one";
        store::sql::query_one(&db, select, []).await.unwrap();
    }
    db.close().await.unwrap();
    rotated.end().await;
}
