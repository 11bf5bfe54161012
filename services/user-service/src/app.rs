//! The definition and the parts of the service; the [`Host`](service::Host) does the rest.

use std::sync::Arc;

use anyhow::Context as _;
use contracts::user::v1::user_service_server::UserServiceServer;
use futures::FutureExt as _;
use mail_codes::MailCodes;
use service::{Base, Definition, Parts, Schema, Service};

use crate::commands::{Commands, roles};
use crate::config::{UserArgs, UserConfig};
use crate::hasher::{Hasher, Limits};
use crate::keys::Keys;
use crate::migrations::Migrator;
use crate::places::Places;
use crate::requests::Requests;
use crate::store::state;
use crate::throttle::Throttle;
use crate::{access, clean_up, events, grpc};

pub const DEFINITION: Definition = Definition {
    name: "user-service",
    about: "Users: gRPC in, events out",
    grpc_service: "angarium.user.v1.UserService",
    default_port: 50051,
    exchanges: &["user_events"],
    subscriptions: events::subscriptions,
    rules: access::RULES,
    keys: service::Keys::Issued,
    descriptor_set: contracts::FILE_DESCRIPTOR_SET,
    schema: Schema::of::<Migrator>(),
};

pub struct App;

impl Service for App {
    const DEFINITION: Definition = DEFINITION;
    type Args = UserArgs;

    async fn parts(config: UserConfig, base: &Base) -> anyhow::Result<Parts> {
        let (secret_key, identity) = (&config.secret_key, config.identity);
        let (store, clock) = (base.store.clone(), Arc::clone(&base.clock));
        secret_key.warn_if_well_known();
        let keys = Keys::open(
            store.clone(),
            secret_key,
            identity.key_rotation,
            clock.clone(),
        );
        let keys = Arc::new(keys.await.context("the signing keys cannot be used")?);
        let throttle = Throttle::new(store.clone(), secret_key, clock.clone());
        let commands = Commands {
            store: base.commands(),
            hasher: Hasher::new(Limits::of_this_machine()),
            clock: clock.clone(),
            keys: Arc::clone(&keys),
            throttle: throttle.clone(),
            mail_codes: MailCodes::new(&config.mail_sealing_key),
            places: Places::new(secret_key),
            admins: Arc::new(identity.admins),
            operators: Arc::new(identity.operators),
        };
        let requests = Requests::new(secret_key);
        let users = grpc::Users::new(commands.clone(), requests, base.page_tokens.clone());
        let clean_up = |stop| clean_up::run(store, throttle, clock, stop);
        Ok(base
            .serve(UserServiceServer::new(users))
            .stating(|db, of, limit| state::list(db, of, limit).boxed())
            .beside("keys", |stop| keys.run(stop))
            .beside("roles", |stop| roles::run(commands, stop))
            .beside("clean-up", clean_up))
    }
}
