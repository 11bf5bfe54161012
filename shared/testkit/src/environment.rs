//! The six settings of a test run. No service reads them.

use std::time::Duration;

/// For a fact. A machine under load needs more.
pub(crate) fn patience() -> Duration {
    let seconds = variable("ANGARIUM_TEST_PATIENCE").map_or(60, |text| {
        text.parse()
            .expect("ANGARIUM_TEST_PATIENCE is a whole number of seconds")
    });
    Duration::from_secs(seconds)
}

pub(crate) fn postgres_url() -> url::Url {
    server("ANGARIUM_TEST_POSTGRES_URL")
}

/// The RabbitMQ of the test run.
///
/// # Panics
/// If `ANGARIUM_TEST_AMQP_URL` is not set.
pub fn amqp_url() -> url::Url {
    server("ANGARIUM_TEST_AMQP_URL")
}

pub(crate) fn rabbitmqctl() -> Option<Vec<String>> {
    command_line("ANGARIUM_TEST_RABBITMQCTL")
}

pub(crate) fn clients() -> Option<Vec<String>> {
    command_line("ANGARIUM_TEST_CLIENTS")
}

pub(crate) fn tools() -> Option<Vec<String>> {
    command_line("ANGARIUM_TEST_TOOLS")
}

fn command_line(name: &str) -> Option<Vec<String>> {
    let line = variable(name)?;
    Some(line.split_whitespace().map(str::to_owned).collect())
}

fn server(name: &str) -> url::Url {
    let text = variable(name).unwrap_or_else(|| panic!("set {name}, or run `cargo xtask test`"));
    text.parse()
        .unwrap_or_else(|error| panic!("{name} is not a URL: {error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the settings of a test run; no service reads them"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
