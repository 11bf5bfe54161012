//! The settings of a process, for its log: values, sources, and variables that look like a misspelt setting.
//!
//! Guarantee: of a secret only the address in a URL is shown, if nothing in it can be part of a password.

use std::ffi::{OsStr, OsString};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use url::Url;

use super::Problems;

const OPENTELEMETRY: [&str; 14] = [
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
];
/// Names of this length may differ from a setting in two characters, shorter ones in one.
const LONG: usize = 10;

/// The settings of a process.
#[derive(Debug, Default)]
pub struct Described {
    settings: Vec<Setting>,
    misspelt: Vec<Misspelt>,
}

#[derive(Debug, PartialEq, Eq)]
struct Setting {
    name: String,
    value: String,
    source: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
struct Misspelt {
    given: String,
    meant: String,
}

impl Described {
    /// `variables`: names in the environment.
    pub(super) fn of(
        command: &Command,
        matches: &ArgMatches,
        secrets: &[&str],
        problems: &Problems,
        variables: impl Iterator<Item = OsString>,
    ) -> Self {
        let settings =
            arguments(command).filter_map(|arg| setting(arg, matches, secrets, problems));
        let mut known: Vec<String> = OPENTELEMETRY.map(str::to_owned).into();
        known.extend(variables_of(command));
        let given = variables.filter_map(|name| name.into_string().ok());
        Self {
            settings: settings.collect(),
            misspelt: given.filter_map(|given| misspelt(given, &known)).collect(),
        }
    }

    /// Logs settings, defaults at debug level only, and probable misspellings.
    pub fn log(&self) {
        for Setting {
            name,
            value,
            source,
        } in &self.settings
        {
            if *source == DEFAULT {
                tracing::debug!(setting = name, value, source, "configured");
            } else {
                tracing::info!(setting = name, value, source, "configured");
            }
        }
        for Misspelt { given, meant } in &self.misspelt {
            tracing::warn!(
                variable = given,
                meant,
                "this variable is no setting and has no effect; it looks like one that is"
            );
        }
    }
}

const DEFAULT: &str = "default";

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    let all = command.get_arguments();
    all.filter(|arg| arg.get_env().is_some())
}

/// Those of all subcommands too: an operator's shell may have variables for `angarium reconcile` when it starts a service.
fn variables_of(command: &Command) -> Vec<String> {
    let own = arguments(command).map(variable);
    let own = own.flat_map(|name| [format!("{name}_FILE"), name]);
    let below = command.get_subcommands().flat_map(variables_of);
    own.chain(below).collect()
}

fn setting(
    arg: &Arg,
    matches: &ArgMatches,
    secrets: &[&str],
    problems: &Problems,
) -> Option<Setting> {
    let (id, name) = (arg.get_id().as_str(), variable(arg));
    let mut values = matches.try_get_raw(id).ok()??;
    let value = values.next()?.to_string_lossy().into_owned();
    let source = match matches.value_source(id)? {
        ValueSource::CommandLine => "flag",
        ValueSource::EnvVariable => "variable",
        _ if problems.file_of(&name).is_some() => "file",
        _ => DEFAULT,
    };
    let value = if secrets.contains(&id) {
        address(&value)
    } else if value.contains('@') {
        // No e-mail addresses in logs.
        "(not shown)".to_owned()
    } else {
        value
    };
    Some(Setting {
        name,
        value,
        source,
    })
}

fn variable(arg: &Arg) -> String {
    let name = arg.get_env().unwrap_or(OsStr::new(""));
    name.to_string_lossy().into_owned()
}

/// A malformed URL may have a part of its password in any other place.
fn address(secret: &str) -> String {
    let shown = || {
        let mut url = Url::parse(secret).ok()?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !url.has_host() || (secret.contains('@') && !has_user) || url.path().contains('@') {
            return None;
        }
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(format!("{url} (the rest is secret)"))
    };
    shown().unwrap_or_else(|| "(secret)".to_owned())
}

fn misspelt(given: String, known: &[String]) -> Option<Misspelt> {
    if known.contains(&given) {
        return None;
    }
    let plain = |name: &str| name.replace(['_', '-'], "").to_ascii_uppercase();
    let looks_like = |name: &&String| {
        let most = if name.len() < LONG { 1 } else { 2 };
        plain(&given) == plain(name) || strsim::osa_distance(&given, name) <= most
    };
    // Short names are also words in other programs' variables.
    let known = known.iter().filter(|name| name.len() > 6);
    let meant = known
        .filter(looks_like)
        .min_by_key(|name| strsim::osa_distance(&given, name))?;
    Some(Misspelt {
        meant: meant.clone(),
        given,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_at_most_the_address_is_shown() {
        for (secret, shown) in [
            ("hunter2", "(secret)"),
            (
                "postgres://me:hunter2@db:5432/orders?password=hunter2",
                "postgres://db:5432/orders (the rest is secret)",
            ),
            (
                "amqps://hunter2@broker",
                "amqps://broker (the rest is secret)",
            ),
            // A password with an unescaped slash.
            ("postgres://me:1/hunter2@db/orders", "(secret)"),
            ("postgres://1/hunter2@db/orders", "(secret)"),
            ("smtp://mail#hunter2", "smtp://mail (the rest is secret)"),
        ] {
            assert_eq!(address(secret), shown);
        }
    }

    #[test]
    fn a_variable_of_a_subcommand_is_a_setting() {
        let reconcile = Command::new("reconcile").arg(Arg::new("email").env("OPERATOR_EMAIL"));
        let command = Command::new("angarium")
            .arg(Arg::new("operators").env("OPERATOR_EMAILS"))
            .subcommand(reconcile);
        let known = variables_of(&command);
        assert_eq!(misspelt("OPERATOR_EMAIL".to_owned(), &known), None);
    }

    #[test]
    fn a_variable_that_is_almost_a_setting_is_named_with_it() {
        let known = [
            "ADMIN_EMAILS",
            "AMQP_URL",
            "AMQP_URL_FILE",
            "MODE",
            "GRPC_LISTEN",
        ];
        let known = known.map(str::to_owned);
        for (given, meant) in [
            ("ADMIN_EMAIL", Some("ADMIN_EMAILS")),
            ("AMPQ_URL", Some("AMQP_URL")),
            ("AMQPURL", Some("AMQP_URL")),
            ("grpc-listen", Some("GRPC_LISTEN")),
            ("GRPC_LISTNE", Some("GRPC_LISTEN")),
            ("AMQP_URL", None),
            ("SMTP_URL", None),
            ("MODEL", None),
            ("GRPC_TRACE", None),
            ("PATH", None),
        ] {
            let found = misspelt(given.to_owned(), &known).map(|found| found.meant);
            assert_eq!(found.as_deref(), meant, "{given}");
        }
    }
}
