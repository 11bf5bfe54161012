//! The service without its engine and socket, with a test clock.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mail_codes::MailCodes;
use messaging::Store;
use runtime::auth::{Caller, Role};
use runtime::sealed::MasterKey;
use runtime::{ClientAddress, PageTokens, TestClock};
use service::CommandStore;
use testkit::{Database, StoreKind};
use tonic::Request;
use user_service::commands::Commands;
use user_service::grpc::Users;
use user_service::hasher::{Hasher, Limits};
use user_service::keys::Keys;
use user_service::migrations::Migrator;
use user_service::places::Places;
use user_service::requests::Requests;
use user_service::throttle::Throttle;

pub(crate) const NOW_MS: i64 = 1_800_000_000_000;
const ROTATION: Duration = Duration::from_secs(30 * 24 * 3600);

pub(crate) struct Bench {
    pub(crate) users: Users,
    pub(crate) keys: Arc<Keys>,
    pub(crate) throttle: Throttle,
    pub(crate) clock: TestClock,
    pub(crate) store: Store,
    pub(crate) db: store::Database,
    _database: Option<Database>,
}

impl Bench {
    pub(crate) async fn new(kind: StoreKind) -> Self {
        let database = Database::create(kind).await;
        let store = Store::new(database.migrated::<Migrator>().await);
        let hasher = Hasher::new(Limits::of_this_machine());
        let mut bench = Self::on(store, hasher, TestClock::at(NOW_MS)).await;
        bench._database = Some(database);
        bench
    }

    /// As another replica or a later process.
    pub(crate) async fn on(store: Store, hasher: Hasher, clock: TestClock) -> Self {
        let secret_key = MasterKey::well_known("SECRET_KEY");
        let shared: Arc<dyn runtime::Clock> = Arc::new(clock.clone());
        let keys = Keys::open(store.clone(), &secret_key, ROTATION, Arc::clone(&shared)).await;
        let keys = Arc::new(keys.unwrap());
        let throttle = Throttle::new(store.clone(), &secret_key, Arc::clone(&shared));
        let commands = Commands {
            store: CommandStore::new(store.clone()),
            hasher,
            clock: shared,
            keys: Arc::clone(&keys),
            throttle: throttle.clone(),
            mail_codes: MailCodes::new(&MasterKey::well_known("MAIL_SEALING_KEY")),
            places: Places::new(&secret_key),
            admins: Arc::default(),
            operators: Arc::default(),
        };
        let page_tokens = PageTokens::open(store.connection()).await.unwrap();
        let requests = Requests::new(&secret_key);
        Self {
            users: Users::new(commands, requests, page_tokens),
            keys,
            throttle,
            clock,
            db: store.connection().clone(),
            store,
            _database: None,
        }
    }

    pub(crate) async fn restarted(&self) -> Self {
        let hasher = Hasher::new(Limits::of_this_machine());
        Self::on(self.store.clone(), hasher, self.clock.clone()).await
    }

    /// The guard, which verifies tokens, is not part of the bench.
    pub(crate) fn caller_of(&self, token: &str) -> Caller {
        let claims = token.split('.').nth(1).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        let id = |name: &str| claims[name].as_str().unwrap().parse().unwrap();
        Caller {
            user_id: id("sub"),
            role: Role::User,
            session_id: Some(id("sid")),
            email_verified: claims["email_verified"].as_bool(),
        }
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Behind a server or before one.
pub(crate) fn from<T>(address: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let found = ClientAddress::new(address.parse().unwrap());
    request.extensions_mut().insert(found);
    let metadata = request.metadata_mut();
    metadata.insert("x-forwarded-for", address.parse().unwrap());
    request
}

/// As behind the guard.
pub(crate) fn by<T>(user_id: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        user_id: user_id.parse().unwrap(),
        role: Role::User,
        session_id: None,
        email_verified: None,
    });
    request
}
