//! A database for one test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use sea_orm_migration::MigratorTrait;
use store::DatabaseConfig;
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

use crate::{blocking, environment};

/// A new session takes several round trips and a key derivation. A test may delay each, and other tests use all cores.
const SLOW_LINK: Duration = Duration::from_secs(20);

/// The store of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A database on the server of the test run.
    Postgres,
    /// A file in a private folder.
    Sqlite,
}

/// An empty database. Dropping it deletes the database, even with open connections.
pub struct Database {
    kind: StoreKind,
    url: String,
    place: Place,
}

enum Place {
    Server(OnServer),
    Folder(TempDir),
    Elsewhere,
}

/// A copy of a database. Dropping it deletes the copy.
pub struct Backup {
    copy: Place,
}

struct OnServer {
    server: Url,
    name: String,
}

impl Database {
    /// An empty database of its own.
    pub async fn create(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Postgres => Self::create_on(&environment::postgres_url()).await,
            StoreKind::Sqlite => {
                let folder = TempDir::new().expect("a temporary folder");
                let file = folder.path().join("test.db");
                Self {
                    kind,
                    url: format!("sqlite://{}", file.display()),
                    place: Place::Folder(folder),
                }
            }
        }
    }

    /// A database on this PostgreSQL server.
    pub async fn create_on(server: &Url) -> Self {
        let name = format!("angarium_test_{}", Uuid::now_v7().simple());
        on_server(server, &format!("CREATE DATABASE {name}")).await;
        let mut url = server.clone();
        url.set_path(&name);
        let server = server.clone();
        Self {
            kind: StoreKind::Postgres,
            url: url.to_string(),
            place: Place::Server(OnServer { server, name }),
        }
    }

    /// A file in `folder`, for example on a disk that the test fills.
    pub fn in_folder(folder: &Path, name: &str) -> Self {
        Self {
            kind: StoreKind::Sqlite,
            url: format!("sqlite://{}", folder.join(name).display()),
            place: Place::Elsewhere,
        }
    }

    /// PostgreSQL or SQLite.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// The value of `DATABASE_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The configuration of a service that uses it. It waits long for a connection, because a call that fails on a busy
    /// machine says nothing about the service.
    pub fn config(&self) -> DatabaseConfig {
        DatabaseConfig {
            acquire_timeout: SLOW_LINK,
            ..DatabaseConfig::new(self.url())
        }
    }

    /// Connects as a service does.
    pub async fn connect(&self) -> store::Database {
        connect(&self.config()).await
    }

    /// Connects with at most this many connections.
    pub async fn with_connections(&self, most: u32) -> store::Database {
        let config = DatabaseConfig {
            pool_max: most,
            ..self.config()
        };
        connect(&config).await
    }

    /// Connects to another address, such as a proxy's, with at most `sessions`.
    pub async fn connect_by(&self, url: &str, sessions: u32) -> store::Database {
        let config = DatabaseConfig {
            pool_max: sessions,
            acquire_timeout: SLOW_LINK,
            ..DatabaseConfig::new(url)
        };
        connect(&config).await
    }

    /// Copies it, as a backup does. Nothing may be connected.
    ///
    /// # Panics
    /// If it cannot be copied.
    pub async fn backup(&self) -> Backup {
        let copy = match &self.place {
            Place::Server(OnServer { server, name }) => {
                let copy = format!("{name}_backup");
                on_server(server, &format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
                let server = server.clone();
                Place::Server(OnServer { server, name: copy })
            }
            Place::Folder(_) | Place::Elsewhere => {
                let folder = TempDir::new().expect("a temporary folder");
                for file in self.files() {
                    let name = file.file_name().expect("a file");
                    std::fs::copy(&file, folder.path().join(name)).expect("a copy");
                }
                Place::Folder(folder)
            }
        };
        Backup { copy }
    }

    /// Replaces its content by `backup`. On PostgreSQL it ends all connections.
    ///
    /// # Panics
    /// If it cannot be replaced.
    pub async fn restore(&self, backup: &Backup) {
        match (&self.place, &backup.copy) {
            (Place::Server(OnServer { server, name }), Place::Server(copy)) => {
                let copy = &copy.name;
                on_server(server, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
                on_server(server, &format!("CREATE DATABASE {name} TEMPLATE {copy}")).await;
            }
            (Place::Folder(_) | Place::Elsewhere, Place::Folder(folder)) => {
                for file in self.files() {
                    std::fs::remove_file(&file).expect("a removed file");
                }
                for copy in std::fs::read_dir(folder.path()).expect("a folder") {
                    let copy = copy.expect("an entry");
                    let file = self.main_file().with_file_name(copy.file_name());
                    std::fs::copy(copy.path(), file).expect("a copy");
                }
            }
            _ => panic!("the backup is of another kind of database"),
        }
    }

    fn main_file(&self) -> PathBuf {
        PathBuf::from(self.url.trim_start_matches("sqlite://"))
    }

    /// With the log and its index.
    fn files(&self) -> Vec<PathBuf> {
        let main = self.main_file().into_os_string();
        let files = ["", "-wal", "-shm"].map(|end| {
            let mut file = main.clone();
            file.push(end);
            PathBuf::from(file)
        });
        files.into_iter().filter(|file| file.exists()).collect()
    }

    /// Connects, and applies the migrations of `M`.
    pub async fn migrated<M: MigratorTrait>(&self) -> store::Database {
        let db = self.connect().await;
        store::migrate::<M>(&db)
            .await
            .unwrap_or_else(|error| panic!("migrating the test's database: {error}"));
        db
    }
}

async fn connect(config: &DatabaseConfig) -> store::Database {
    store::connect(config, "test")
        .await
        .unwrap_or_else(|error| panic!("connecting to the test's database: {error}"))
}

impl Drop for OnServer {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        blocking::finish_beside_tasks(async move { on_server(&server, &statement).await });
    }
}

async fn on_server(server: &Url, statement: &str) {
    let mut connection = PgConnection::connect(server.as_str())
        .await
        .unwrap_or_else(|error| panic!("the PostgreSQL of the tests cannot be used: {error}"));
    connection
        .execute(AssertSqlSafe(statement.to_owned()))
        .await
        .unwrap_or_else(|error| panic!("`{statement}`: {error}"));
    let _ = connection.close().await;
}
