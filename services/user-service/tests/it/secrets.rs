//! A password is stored only as its hash, and no log contains an address.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use argon2::{Argon2, PasswordVerifier as _};
use contracts::user::v1::CreateUserRequest;
use rstest::rstest;
use sea_orm::{ConnectionTrait as _, DbBackend, EntityTrait as _, IntoActiveModel as _, Statement};
use testkit::StoreKind;
use tracing_subscriber::filter::LevelFilter;
use user_service::store::users;

use crate::fixture::Fixture;
use crate::samples::ada;

// Unique in this crate, and no word of any library.
const PASSWORD: &str = "quetzal-7-vermilion";
const EMAIL: &str = "zyzzyva@example.com";
const NAME: &str = "Xanthippe Qoph";

fn marked() -> CreateUserRequest {
    CreateUserRequest {
        email: EMAIL.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: NAME.to_owned(),
        ..CreateUserRequest::default()
    }
}

#[rstest]
#[tokio::test]
async fn the_database_has_only_the_argon2id_hash_of_a_password(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    fixture.create(marked()).await.unwrap();
    fixture.receive().await;

    let row = users::Entity::find()
        .one(&fixture.db)
        .await
        .unwrap()
        .unwrap();
    let hash = &row.password_hash.0;
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
        "{hash}"
    );
    let verified = Argon2::default().verify_password(PASSWORD.as_bytes(), hash.as_str());
    assert_eq!(verified, Ok(()));

    let dump = dump(&fixture).await;
    assert!(dump.contains(EMAIL), "the dump shows what is there");
    assert!(!dump.contains(PASSWORD));
    assert!(!dump.contains(&hex(PASSWORD)), "nor as bytes");

    let shown = format!("{row:?} {:?}", row.clone().into_active_model());
    for secret in [PASSWORD, "argon2", EMAIL, NAME] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    fixture.stop().await;
}

/// Of the whole test process; no other test uses the marked values.
#[tokio::test]
async fn no_log_shows_a_password_address_or_name() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .init();

    let fixture = Fixture::new(StoreKind::Postgres).await;
    fixture.create(marked()).await.unwrap();
    fixture.create(marked()).await.unwrap_err();
    let invalid = CreateUserRequest {
        password: PASSWORD.repeat(20),
        email: format!("{EMAIL}@"),
        display_name: NAME.repeat(20),
        ..CreateUserRequest::default()
    };
    fixture.create(invalid).await.unwrap_err();
    let other = CreateUserRequest {
        email: format!("other-{EMAIL}"),
        ..marked()
    };
    fixture
        .execute("ALTER TABLE angarium_outbox RENAME TO hidden")
        .await;
    fixture.create(other.clone()).await.unwrap_err();
    fixture
        .execute("ALTER TABLE hidden RENAME TO angarium_outbox")
        .await;
    fixture.execute("ALTER TABLE users RENAME TO hidden").await;
    fixture.create(other).await.unwrap_err();
    fixture.execute("ALTER TABLE hidden RENAME TO users").await;
    fixture.create(ada()).await.unwrap();
    fixture.receive().await;
    fixture.stop().await;

    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    for seen in [
        "UserService/CreateUser",
        "a statement failed",
        "ALREADY_EXISTS",
    ] {
        assert!(log.contains(seen), "the log is looked at: {seen}");
    }
    for secret in [PASSWORD, "zyzzyva", "Xanthippe", "$argon2id$"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

/// As text.
async fn dump(fixture: &Fixture) -> String {
    let backend = fixture.db.get_database_backend();
    let tables = match backend {
        DbBackend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        _ => "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
    };
    let mut dump = String::new();
    for table in texts(fixture, tables).await {
        let rows = match backend {
            DbBackend::Sqlite => {
                let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                let columns = texts(fixture, &columns).await;
                let columns: Vec<String> = columns
                    .iter()
                    .map(|column| format!("quote(\"{column}\")"))
                    .collect();
                format!("SELECT {} FROM \"{table}\"", columns.join(" || ' ' || "))
            }
            _ => format!("SELECT row::text FROM \"{table}\" AS row"),
        };
        dump.extend(texts(fixture, &rows).await);
    }
    dump
}

async fn texts(fixture: &Fixture, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(fixture.db.get_database_backend(), sql);
    let rows = fixture.db.query_all_raw(statement).await.unwrap();
    rows.iter()
        .map(|row| row.try_get_by_index(0).unwrap())
        .collect()
}

fn hex(text: &str) -> String {
    let digits = text.bytes().map(|byte| format!("{byte:02x}"));
    digits.collect()
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
