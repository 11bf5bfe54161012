//! The mailer without the service.

use std::sync::Arc;
use std::time::Duration;

use mail_codes::MailCodes;
use messaging::Store;
use messaging::trace::TraceContext;
use notification_service::kinds::Kind;
use notification_service::mailer::Mailer;
use notification_service::migrations::Migrator;
use notification_service::notification::Letter;
use notification_service::sender::MailSender;
use notification_service::store;
use sea_orm::{ConnectionTrait as _, TryGetable};
use testkit::{Database, StoreKind, eventually_is};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fixture::{FROM, sealing_key};

/// A database with pending mails, and mailers on it.
pub(crate) struct Post {
    pub(crate) store: Store,
    pub(crate) db: ::store::Database,
    pub(crate) database: Database,
    mailers: JoinSet<()>,
    stop: CancellationToken,
}

impl Post {
    pub(crate) async fn new(kind: StoreKind) -> Self {
        let database = Database::create(kind).await;
        let db = database.migrated::<Migrator>().await;
        Self {
            store: Store::new(db.clone()),
            db,
            database,
            mailers: JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) async fn write(&self) -> Uuid {
        let letter = Letter {
            id: Uuid::now_v7(),
            user_id: Uuid::now_v7(),
            kind: Kind::Welcome,
            event_id: Uuid::now_v7(),
            email: "ada@example.com".to_owned(),
            display_name: "Ada".to_owned(),
            subject: "Welcome".to_owned(),
            text: "Hello".to_owned(),
            html: "<p>Hello</p>".to_owned(),
            code: None,
            original_id: None,
            order_id: None,
            suppressed: false,
            created_at_ms: ::store::now_ms(&self.db).await.unwrap(),
            correlation_id: "test".to_owned(),
            trace: TraceContext::default(),
        };
        let transaction = self.store.begin().await.unwrap();
        store::insert_letter(&transaction, &letter).await.unwrap();
        transaction.wake_on_commit("mails");
        transaction.commit().await.unwrap();
        letter.id
    }

    /// Like another replica: with its own pool and signals.
    pub(crate) async fn start(&mut self, sender: Arc<dyn MailSender>) {
        let store = Store::new(self.database.connect().await);
        self.start_on(store, sender, Duration::from_secs(30));
    }

    pub(crate) fn start_on(
        &mut self,
        store: Store,
        sender: Arc<dyn MailSender>,
        timeout: Duration,
    ) {
        let codes = MailCodes::new(&sealing_key());
        let mailer = Mailer::new(store, sender, FROM.parse().unwrap(), codes, timeout);
        self.mailers.spawn(mailer.run(self.stop.clone()));
    }

    pub(crate) async fn die(&mut self) {
        self.mailers.shutdown().await;
    }

    pub(crate) fn ask_to_end(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn end(&mut self) {
        self.ask_to_end();
        while let Some(ended) = self.mailers.join_next().await {
            ended.unwrap();
        }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        let transaction = self.store.begin().await.unwrap();
        transaction.execute_unprepared(sql).await.unwrap();
        transaction.commit().await.unwrap();
    }

    pub(crate) async fn value<T: TryGetable>(&self, sql: &str) -> T {
        testkit::value(&self.db, sql).await
    }

    pub(crate) async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM notification WHERE {condition}");
        self.value(&sql).await
    }

    pub(crate) async fn come_to(&self, state: &str, count: i64) {
        let condition = format!("state = '{state}'");
        eventually_is(&condition, count, async || self.count(&condition).await).await;
    }
}
