//! One running user service with its own database, broker and subscriber.

use std::time::Duration;

use contracts::Event;
use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{
    AuthenticateRequest, AuthenticateResponse, CreateUserRequest, EmailVerificationRequested,
    PasswordResetRequested, RefreshTokenRequest, SessionStartedAtNewPlace, Tokens as SessionTokens,
    User, UserCreated, VerifyEmailRequest,
};
use event::Message;
use messaging::transport::{self, Ack, Queue, Topology};
use messaging::{Delivered, EngineConfig, HandlerError, Subscriptions, Transaction};
use runtime::config::GrpcConfig;
use runtime::sealed::MasterKey;
use sea_orm::{ConnectionTrait as _, Statement};
use service::{Common, Host};
use store::DatabaseConfig;
use testkit::{
    Broker, BrokerKind, Database, Promised, Running, StoreKind, Tokens, authorized, eventually,
};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use user_service::config::{IdentityConfig, UserConfig};
use user_service::{App, Config, DEFINITION};
use uuid::Uuid;

use crate::codes;

pub(crate) struct World {
    // First, so that tasks end before the resources that they use.
    running: Running,
    pub(crate) db: store::Database,
    /// The service accepts them, for any user and role.
    pub(crate) tokens: Tokens,
    broker: Broker,
    database: Database,
}

impl World {
    pub(crate) async fn new(store: StoreKind) -> Self {
        let database = Database::create(store).await;
        let config = database.config();
        Self::on(database, config).await
    }

    /// The broker is unreachable, and no event may wait to be published.
    pub(crate) async fn with_overdue_events(store: StoreKind) -> Self {
        let database = Database::create(store).await;
        let mut config = config_on(database.config());
        config.common.engine.outbox_budget = Duration::ZERO;
        Self::run(database, config, Broker::create(BrokerKind::Embedded).await).await
    }

    /// The service connects to `database` with `config`; the test connects directly.
    pub(crate) async fn on(database: Database, config: DatabaseConfig) -> Self {
        let broker = Broker::create(BrokerKind::Embedded).await;
        for topology in [topology(), mails()] {
            broker.transport(topology).declare().await.unwrap();
        }
        Self::build(database, config, EngineConfig::default(), broker).await
    }

    /// With this server configuration.
    pub(crate) async fn with_grpc(grpc: GrpcConfig) -> Self {
        let database = Database::create(StoreKind::Sqlite).await;
        let broker = Broker::create(BrokerKind::Embedded).await;
        let mut config = config_on(database.config());
        config.common.grpc = grpc;
        config.common.broker = reached(&broker);
        Self::run(database, config, broker).await
    }

    async fn build(
        database: Database,
        config: DatabaseConfig,
        engine: EngineConfig,
        broker: Broker,
    ) -> Self {
        let mut config = config_on(config);
        config.common.broker = reached(&broker);
        config.common.engine = engine;
        Self::run(database, config, broker).await
    }

    async fn run(database: Database, config: Config, broker: Broker) -> Self {
        let app = Host::build::<App>(config).await.unwrap();
        let running = Running::start(app.grpc_addr(), |shutdown| app.run(shutdown)).await;
        let db = database.connect().await;
        let tokens = Tokens::accepted_by(&db).await;
        Self {
            running,
            db,
            tokens,
            broker,
            database,
        }
    }

    /// Stops the service, and starts it again on the same database.
    pub(crate) async fn restart(self) -> Self {
        self.running.stop().await;
        let config = self.database.config();
        Self::build(self.database, config, EngineConfig::default(), self.broker).await
    }

    /// As [`restart`](Self::restart), with these admins.
    pub(crate) async fn restart_with_admins(self, admins: &[&str]) -> Self {
        self.running.stop().await;
        let mut config = config_on(self.database.config());
        config.common.broker = reached(&self.broker);
        let admins = admins.iter().map(|&admin| admin.to_owned());
        config.own.identity.admins = admins.collect();
        Self::run(self.database, config, self.broker).await
    }

    pub(crate) fn channel(&self) -> Channel {
        self.running.channel()
    }

    pub(crate) fn client(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel())
    }

    /// `message` in a call of this user.
    pub(crate) fn by<T>(&self, user_id: &str, message: T) -> Request<T> {
        authorized(&self.tokens.user(user_id.parse().unwrap()), message)
    }

    /// `message` in a call of an admin.
    pub(crate) fn by_admin<T>(&self, message: T) -> Request<T> {
        authorized(&self.tokens.admin(), message)
    }

    pub(crate) async fn create(&self, request: CreateUserRequest) -> Result<User, Status> {
        let answer = self.client().create_user(request).await?;
        Ok(answer.into_inner().user.unwrap())
    }

    /// As [`create`](Self::create), but repeats refused calls as a client would: a machine under load may refuse them.
    pub(crate) async fn create_with_patience(
        &self,
        request: &CreateUserRequest,
    ) -> Result<User, Status> {
        eventually("the call is not turned away", async || {
            match self.create(request.clone()).await {
                Err(status) if status.code() == Code::Unavailable => Err(status),
                answer => Ok(answer),
            }
        })
        .await
    }

    /// As [`create`](Self::create), with this correlation id.
    pub(crate) async fn create_as(&self, correlation_id: &str, request: CreateUserRequest) -> User {
        let mut request = Request::new(request);
        let header = runtime::grpc::CORRELATION_HEADER;
        let value = correlation_id.parse().unwrap();
        request.metadata_mut().insert(header, value);
        let answer = self.client().create_user(request).await.unwrap();
        answer.into_inner().user.unwrap()
    }

    pub(crate) async fn log_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<AuthenticateResponse, Status> {
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            ..AuthenticateRequest::default()
        };
        Ok(self.client().authenticate(request).await?.into_inner())
    }

    /// Exchanges the refresh token of a session.
    pub(crate) async fn refresh(
        &self,
        session: &AuthenticateResponse,
    ) -> Result<SessionTokens, Status> {
        let request = RefreshTokenRequest {
            refresh_token: session.tokens.as_ref().unwrap().refresh_token.clone(),
        };
        let answer = self.client().refresh_token(request).await?;
        Ok(answer.into_inner().tokens.unwrap())
    }

    /// Verifies the address of this user with the code from the mail.
    pub(crate) async fn verify(&self, user_id: &str) -> User {
        let request = VerifyEmailRequest {
            code: self.verification_code(user_id).await,
            ..VerifyEmailRequest::default()
        };
        let answer = self.client().verify_email(request).await.unwrap();
        answer.into_inner().user.unwrap()
    }

    /// The enqueued events of users, without keys and codes.
    pub(crate) async fn outbox(&self) -> Vec<Promised> {
        let mut outbox = testkit::outbox(&self.db).await;
        outbox.retain(|promised| promised.event_type.starts_with("angarium.user.v1.User"));
        outbox
    }

    /// The code of the latest verification mail to this user.
    pub(crate) async fn verification_code(&self, user_id: &str) -> String {
        codes::last::<EmailVerificationRequested>(&self.db, user_id).await
    }

    /// The code of the latest reset mail to this user.
    pub(crate) async fn reset_code(&self, user_id: &str) -> String {
        codes::last::<PasswordResetRequested>(&self.db, user_id).await
    }

    pub(crate) async fn count_users(&self) -> i64 {
        self.count("SELECT count(*) FROM users").await
    }

    /// The number that `sql` selects.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let row = self.db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    /// The subscriber's next event.
    pub(crate) async fn receive(&self) -> Message {
        let transport = self.broker.transport(topology());
        let mut receiver = transport.receiver(SUBSCRIBER, 1).await.unwrap();
        let delivery = receiver.receive().await.unwrap();
        receiver.acknowledge(Ack::One(delivery.tag)).await.unwrap();
        delivery.message
    }

    /// Stops the service in order.
    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn ada() -> CreateUserRequest {
    CreateUserRequest {
        email: "ada@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        display_name: "Ada Lovelace".to_owned(),
        ..CreateUserRequest::default()
    }
}

pub(crate) fn bob() -> CreateUserRequest {
    CreateUserRequest {
        email: "bob@example.com".to_owned(),
        ..ada()
    }
}

/// Becomes an admin after the address is verified.
pub(crate) const ADMIN: &str = "Root@Example.com";

pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// With an unreachable broker.
pub(crate) fn config_on(database: DatabaseConfig) -> Config {
    let nowhere = "amqp://127.0.0.1:1".parse().unwrap();
    let broker = transport::Broker::RabbitMq(transport::RabbitMqConfig::new(nowhere));
    Config {
        common: Common::new(testkit::any_port(), database, broker),
        own: UserConfig {
            secret_key: MasterKey::well_known("SECRET_KEY"),
            mail_sealing_key: MasterKey::well_known("MAIL_SEALING_KEY"),
            identity: IdentityConfig {
                admins: [ADMIN.to_lowercase()].into(),
                ..IdentityConfig::default()
            },
        },
    }
}

fn reached(broker: &Broker) -> transport::Broker {
    broker.of_services([&DEFINITION.participant().topology()])
}

const SUBSCRIBER: &str = "subscriber";

/// A subscriber of new users.
fn topology() -> Topology {
    Topology::publishing([UserCreated::EXCHANGE]).consuming(subscriber())
}

fn subscriber() -> Queue {
    async fn ignore(_: &Transaction, _: UserCreated, _: &Delivered) -> Result<(), HandlerError> {
        Ok(())
    }
    Subscriptions::new(SUBSCRIBER)
        .on::<UserCreated>(ignore)
        .queue()
}

/// A subscriber of everything else, like the other services together.
fn mails() -> Topology {
    async fn ignore<E: Event>(_: &Transaction, _: E, _: &Delivered) -> Result<(), HandlerError> {
        Ok(())
    }
    let queue = Subscriptions::new("mails")
        .in_order::<UserCreated>(ignore::<UserCreated>)
        .on::<EmailVerificationRequested>(ignore::<EmailVerificationRequested>)
        .on::<PasswordResetRequested>(ignore::<PasswordResetRequested>)
        .on::<SessionStartedAtNewPlace>(ignore::<SessionStartedAtNewPlace>)
        .queue();
    Topology::publishing([UserCreated::EXCHANGE]).consuming(queue)
}
