//! The settings of orders.

use std::ffi::OsString;

use order_service::config::OrderConfig;
use order_service::{Args, Config};
use runtime::config::ConfigError;

const ENOUGH: [&str; 4] = [
    "--database-url",
    "sqlite://unused.db",
    "--amqp-url",
    "amqp://localhost",
];

fn load(arguments: &[&str]) -> Result<Config, ConfigError> {
    let arguments = ["order-service"].iter().chain(&ENOUGH).chain(arguments);
    runtime::config::load::<Args>(arguments.map(OsString::from))
}

#[test]
fn the_settings_defaults_are_those_of_the_code() {
    let config = load(&[]).unwrap();
    assert_eq!(config.own, OrderConfig::default());
}

#[test]
fn an_order_waits_for_the_configured_time() {
    let config = load(&["--order-confirmation-time", "90min"]).unwrap();
    assert_eq!(config.own.confirmation_time.as_secs(), 90 * 60);
}

/// Each watcher occupies one of the server's concurrent calls.
#[test]
fn watchers_leave_calls_to_others() {
    let config = load(&["--grpc-max-in-flight", "100"]).unwrap();
    assert_eq!(config.own.max_watchers, 50);
    let most = load(&["--order-max-watchers", "511"]).unwrap();
    assert_eq!(most.own.max_watchers, 511);
}

#[test]
fn one_caller_watches_an_eighth_of_them_unless_it_is_said() {
    let of_caller = |arguments: &[&str]| {
        let config = load(arguments).unwrap();
        config.own.max_watchers_per_caller
    };
    assert_eq!(of_caller(&["--order-max-watchers", "80"]), 10);
    assert_eq!(of_caller(&["--order-max-watchers", "1"]), 1);
    assert_eq!(of_caller(&["--order-max-watchers-per-caller", "256"]), 256);
}

#[test]
fn one_address_watches_a_quarter_of_them_unless_it_is_said() {
    let of_address = |arguments: &[&str]| {
        let config = load(arguments).unwrap();
        config.own.max_watchers_per_address
    };
    assert_eq!(of_address(&["--order-max-watchers", "80"]), Some(20));
    let given = |most| format!("--order-max-watchers-per-address={most}");
    assert_eq!(of_address(&[&given("7")]), Some(7));
    assert_eq!(of_address(&[&given("off")]), None);
    assert!(load(&[&given("many")]).is_err());
}

#[test]
fn what_no_order_can_wait_for_is_refused_by_its_name() {
    for (flag, wrong, named) in [
        (
            "--order-confirmation-time",
            "soon",
            "ORDER_CONFIRMATION_TIME",
        ),
        ("--order-confirmation-time", "0s", "ORDER_CONFIRMATION_TIME"),
        ("--order-max-watchers", "512", "ORDER_MAX_WATCHERS"),
        (
            "--order-max-watchers-per-caller",
            "257",
            "ORDER_MAX_WATCHERS_PER_CALLER",
        ),
    ] {
        let text = load(&[flag, wrong]).err().unwrap().to_string();
        assert!(text.contains(named), "{text}");
    }
}
