//! The definition and the parts of the service; the [`Host`](service::Host) does the rest.

use contracts::notification::v1::notification_service_server::NotificationServiceServer;
use futures::FutureExt as _;
use mail_codes::MailCodes;
use service::{Base, Definition, Keys, Parts, Schema, Service, user_deletion};

use crate::config::{NotificationArgs, NotificationConfig};
use crate::mailer::Mailer;
use crate::migrations::Migrator;
use crate::store::recipients;
use crate::user_deletion::Mails;
use crate::{access, events, grpc, sender};

pub const DEFINITION: Definition = Definition {
    name: "notification-service",
    about: "Notifications: events in, mails out",
    grpc_service: "angarium.notification.v1.NotificationService",
    default_port: 50053,
    exchanges: &["notification_events", "key_events"],
    subscriptions: events::subscriptions,
    rules: access::RULES,
    keys: Keys::Announced,
    descriptor_set: contracts::FILE_DESCRIPTOR_SET,
    schema: Schema::of::<Migrator>(),
};

pub struct App;

impl Service for App {
    const DEFINITION: Definition = DEFINITION;
    type Args = NotificationArgs;

    async fn parts(config: NotificationConfig, base: &Base) -> anyhow::Result<Parts> {
        let (store, mail) = (base.store.clone(), config.mail);
        let sender = sender::open(&mail.delivery).await?;
        config.mail_sealing_key.warn_if_well_known();
        let codes = MailCodes::new(&config.mail_sealing_key);
        let mailer = Mailer::new(store.clone(), sender, mail.from, codes, mail.timeout);
        let notifications = grpc::Notifications::new(store.clone(), base.page_tokens.clone());
        Ok(base
            .serve(NotificationServiceServer::new(notifications))
            .taking_back(|transaction, user| {
                recipients::MARKED.take_back(transaction, user).boxed()
            })
            .beside("user_deletion", |stop| {
                user_deletion::run::<Mails>(store, stop)
            })
            .beside_to_its_end("mailer", |stop| mailer.run(stop)))
    }
}
