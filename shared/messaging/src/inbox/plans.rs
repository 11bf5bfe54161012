//! That the statements on a consumer's inbox cost the same however long its history is: they find what they are about by an
//! index. Asked of SQLite, whose plans do not depend on what is in the tables.

use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

use super::{LOWEST_HELD, RELEASE};
use crate::{dead_letters, sql};

struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        crate::migrations()
    }
}

async fn plan(db: &DatabaseConnection, statement: &str) -> String {
    let asked = sql::statement(db, &format!("EXPLAIN QUERY PLAN {statement}"), []);
    let rows = db.query_all_raw(asked).await.unwrap();
    let steps = rows.iter().map(|row| row.try_get("", "detail").unwrap());
    steps.collect::<Vec<String>>().join("; ")
}

#[tokio::test]
async fn what_is_not_done_is_found_by_its_aggregate() {
    let db = Database::connect("sqlite::memory:").await.unwrap();
    Migrator::up(&db, None).await.unwrap();
    for statement in [RELEASE, LOWEST_HELD, dead_letters::LETTER] {
        let plan = plan(&db, statement).await;
        let by_aggregate = "inbox_unsettled (consumer=? AND aggregate_type=? AND aggregate_id=?";
        assert!(plan.contains(by_aggregate), "{statement}: {plan}");
    }
}
