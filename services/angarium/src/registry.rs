//! The only list of the services, in the order of their ports.
//!
//! Commands, topology, health check, greeting and tests loop over [`SERVICES`]. This file also has the differences of
//! the services.

use std::ffi::OsString;
use std::pin::Pin;
use std::process::ExitCode;

use clap::CommandFactory as _;
use mail_codes::MailSealingKeyArgs;
use notification_service::config::{MailArgs, MailConfig, NotificationConfig};
use order_service::config::{OrderArgs, OrderConfig};
use runtime::config::{Problems, SecretKeyArgs, check_distinct};
use runtime::sealed::MasterKey;
use service::{Common, Config, Definition, Host, Known, Service};
use user_service::config::{IdentityArgs, IdentityConfig, UserConfig};

pub const SERVICES: &[Registered] = &[
    registered::<user_service::App>(),
    registered::<order_service::App>(),
    registered::<notification_service::App>(),
];

pub struct Registered {
    pub definition: Definition,
    /// In the greeting.
    pub title: &'static str,
    /// In its own process.
    pub settings: fn() -> clap::Command,
    /// In its own process. The first argument is its name.
    pub main: fn(Vec<OsString>) -> ExitCode,
    pub build: for<'a> fn(Common, &'a OwnConfig) -> Building<'a>,
}

pub type Building<'a> = Pin<Box<dyn Future<Output = anyhow::Result<Host>> + Send + 'a>>;

trait Member: Service {
    const TITLE: &'static str;

    fn own(all: &OwnConfig) -> <Self::Args as service::OwnArgs>::Config;
}

impl Member for user_service::App {
    const TITLE: &'static str = "users";

    fn own(all: &OwnConfig) -> UserConfig {
        UserConfig {
            secret_key: all.secret_key.clone(),
            mail_sealing_key: all.mail_sealing_key.clone(),
            identity: all.identity.clone(),
        }
    }
}

impl Member for order_service::App {
    const TITLE: &'static str = "orders";

    fn own(all: &OwnConfig) -> OrderConfig {
        all.orders.clone()
    }
}

impl Member for notification_service::App {
    const TITLE: &'static str = "notifications";

    fn own(all: &OwnConfig) -> NotificationConfig {
        NotificationConfig {
            mail: all.mail.clone(),
            mail_sealing_key: all.mail_sealing_key.clone(),
        }
    }
}

/// The own settings of the services. A setting that two of them share appears once.
#[derive(clap::Args)]
pub struct OwnArgs {
    #[command(flatten)]
    secret_key: SecretKeyArgs,
    #[command(flatten)]
    mail_sealing_key: MailSealingKeyArgs,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    orders: OrderArgs,
    #[command(flatten)]
    mail: MailArgs,
}

#[derive(Clone)]
pub struct OwnConfig {
    pub secret_key: MasterKey,
    pub mail_sealing_key: MasterKey,
    pub identity: IdentityConfig,
    pub orders: OrderConfig,
    pub mail: MailConfig,
}

impl service::OwnArgs for OwnArgs {
    type Config = OwnConfig;

    const SECRETS: &'static [&'static str] = &["smtp_url", "secret_key", "mail_sealing_key"];

    fn check(self, known: &Known, problems: &mut Problems) -> Option<OwnConfig> {
        let secret_key = self.secret_key.check(known.mode, problems);
        let mail_sealing_key = self.mail_sealing_key.check(known.mode, problems);
        check_distinct(secret_key.as_ref(), mail_sealing_key.as_ref(), problems);
        let identity = self.identity.check(problems);
        let orders = self.orders.check(known, problems);
        let folder = known.folder.join("mails");
        let mail = self.mail.check(&folder, known.mode, problems);
        Some(OwnConfig {
            secret_key: secret_key?,
            mail_sealing_key: mail_sealing_key?,
            identity: identity?,
            orders: orders?,
            mail: mail?,
        })
    }
}

pub fn named(name: &str) -> Option<&'static Registered> {
    SERVICES
        .iter()
        .find(|service| service.definition.name == name)
}

const fn registered<S: Member + 'static>() -> Registered {
    Registered {
        definition: S::DEFINITION,
        title: S::TITLE,
        settings: service::Args::<S>::command,
        main: service::main_with::<S>,
        build: |common, all| {
            let own = S::own(all);
            Box::pin(Host::build::<S>(Config { common, own }))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_follow_one_another_as_those_of_one_process_do() {
        for (service, port) in SERVICES.iter().zip(SERVICES[0].definition.default_port..) {
            let name = service.definition.name;
            assert_eq!(service.definition.default_port, port, "{name}");
        }
    }

    #[test]
    fn who_takes_announced_keys_may_request_them() {
        for Registered { definition, .. } in SERVICES {
            let participant = definition.participant();
            let subscriptions = participant.subscriptions.unwrap();
            let hears = subscriptions
                .event_types()
                .any(|event| event == "angarium.user.v1.KeyPublished");
            let announced = definition.keys == service::Keys::Announced;
            assert_eq!(hears, announced, "{}", definition.name);
            let requests = definition.exchanges.contains(&"key_events");
            assert_eq!(requests, announced, "{}", definition.name);
        }
    }
}
