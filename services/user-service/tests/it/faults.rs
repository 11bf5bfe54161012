//! Without the database, callers get an early and clear error, and no restart is needed.

use std::time::Duration;

use contracts::user::v1::GetUserRequest;
use contracts::user::v1::user_service_server::UserService as _;
use messaging::Store;
use runtime::TestClock;
use testkit::{Database, Proxy, StoreKind, eventually, reason};
use tonic::{Code, Request, Status};
use user_service::hasher::{Hasher, Limits};
use user_service::migrations::Migrator;

use crate::bench::{Bench, NOW_MS};
use crate::fixture::Fixture;
use crate::samples::ada;

#[tokio::test]
async fn without_its_database_the_service_is_unavailable_and_recovers() {
    let database = Database::create(StoreKind::Postgres).await;
    let proxy = Proxy::before(database.url()).await;
    let mut config = database.config();
    config.url = proxy.url().into();
    config.acquire_timeout = Duration::from_secs(2);
    let fixture = Fixture::on(database, config).await;
    let user = fixture.create(ada()).await.unwrap();
    let get = || async {
        let user_id = user.user_id.clone();
        let request = fixture.by(&user.user_id, GetUserRequest { user_id });
        fixture.client().get_user(request).await
    };

    proxy.cut();
    assert_unavailable(&get().await.unwrap_err());
    assert_unavailable(&fixture.create(ada()).await.unwrap_err());

    proxy.mend();
    eventually("the user is found again", async || get().await).await;
    assert_eq!(fixture.count_users().await, 1);
    fixture.stop().await;
}

/// Without the engine, which would also wait for the lock.
#[tokio::test]
async fn while_its_file_is_locked_the_service_is_unavailable() {
    let database = Database::create(StoreKind::Sqlite).await;
    let db = database.migrated::<Migrator>().await;
    let hasher = Hasher::new(Limits::of_this_machine());
    let users = Bench::on(Store::new(db), hasher, TestClock::at(NOW_MS))
        .await
        .users;
    let other = database.connect().await;
    let locked = ::store::Transaction::begin(&other);
    let locked = locked.await.unwrap();
    let refused = users.create_user(Request::new(ada())).await.unwrap_err();
    assert_unavailable(&refused);

    locked.rollback().await.unwrap();
    users.create_user(Request::new(ada())).await.unwrap();
}

/// In time; no statement, no driver, no path.
fn assert_unavailable(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(reason(status), "DATABASE_UNAVAILABLE");
    let answer = format!(
        "{} {}",
        status.message(),
        String::from_utf8_lossy(status.details())
    );
    let answer = answer.to_lowercase();
    for word in [
        "sql",
        "select",
        "insert",
        "pool",
        "users",
        "connection",
        "127.0.0.1",
        ".db",
    ] {
        assert!(!answer.contains(word), "{word}: {answer}");
    }
}
