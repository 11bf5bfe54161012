//! A process with a collector, a user who registers and orders, and a shutdown that flushes all exports.

use std::path::Path;
use std::process::Stdio;

use contracts::money::Money;
use contracts::notification::v1::NotificationState;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{OrderLine, PlaceOrderRequest};
use contracts::user::v1::CreateUserRequest;
use contracts::user::v1::user_service_client::UserServiceClient;
use testkit::{Broker, Collector, Database, Stack, authorized, eventually};
use tonic::Request;

use crate::process::{Account, PASSWORD, Process, broker_settings, command};

pub(super) const REGISTRATION: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(super) const ORDER: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const EMAIL: &str = "ada.canary@example.com";
pub(super) const NAME: &str = "Xanthippe";
const CALLER: &str = "00f067aa0ba902b7";

/// `flags` says whether the caller's spans are sampled.
pub(super) async fn take(stack: Stack, flags: &str) -> Collector {
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "200")
        .env("LOG_FILTER", "info")
        // The test reads the exported log.
        .stderr(Stdio::null());
    let servers = match stack {
        Stack::Embedded => None,
        Stack::Servers => {
            let database = Database::create(stack.store()).await;
            let broker = Broker::create(stack.broker()).await;
            let (url, prefix) = broker_settings(&broker);
            command.args(["--database-url", database.url()]);
            command.env("AMQP_URL", url).env("AMQP_PREFIX", prefix);
            Some((database, broker))
        }
    };
    let process = Process::start(&mut command);
    let account = register(&process, flags).await;
    let token = process.log_in(&account).await.unwrap();
    // A welcome and a code. Before them, notification-service defers a mail about an order: it does not know the user yet.
    sent(&process, &account, &token, 2).await;
    // Until order-service knows the user and the key, in a separate trace.
    eventually("an order is taken", async || {
        order(&process, &account, &token, None).await
    })
    .await;
    order(&process, &account, &token, Some(flags))
        .await
        .unwrap();
    sent(&process, &account, &token, 4).await;
    measured_while_running(&collector).await;
    assert_eq!(process.interrupt().code(), Some(0));
    drop(servers);
    collector
}

async fn sent(process: &Process, account: &Account, token: &str, count: usize) {
    eventually("the mails are sent", async || {
        let mails = process.mails(account, token).await;
        let sent = mails.map(|mails| {
            let mails = mails.iter();
            mails
                .filter(|mail| mail.state() == NotificationState::Sent)
                .count()
        });
        if sent.as_ref().is_ok_and(|sent| *sent == count) {
            Ok(())
        } else {
            Err(sent)
        }
    })
    .await;
}

/// Gauges report only while the services run.
async fn measured_while_running(collector: &Collector) {
    eventually("what waits was counted", async || {
        let metrics = collector.metrics();
        let counted = metrics
            .iter()
            .any(|metric| metric.name == "angarium.inbox.held");
        if counted { Ok(()) } else { Err(metrics.len()) }
    })
    .await;
}

async fn register(process: &Process, flags: &str) -> Account {
    let mut users = UserServiceClient::connect(process.users.clone())
        .await
        .unwrap();
    let mut request = Request::new(CreateUserRequest {
        email: EMAIL.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: NAME.to_owned(),
        ..CreateUserRequest::default()
    });
    trace(&mut request, REGISTRATION, flags);
    let created = users.create_user(request).await.unwrap().into_inner();
    Account {
        user_id: created.user.unwrap().user_id,
        email: EMAIL.to_owned(),
    }
}

async fn order(
    process: &Process,
    account: &Account,
    token: &str,
    flags: Option<&str>,
) -> Result<(), tonic::Status> {
    let mut orders = OrderServiceClient::connect(process.orders.clone())
        .await
        .map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    let price = Money {
        currency_code: "EUR".to_owned(),
        units: 4,
        nanos: 0,
    };
    let line = OrderLine {
        sku: "TEA".to_owned(),
        quantity: 1,
        unit_price: Some(price),
    };
    let request = PlaceOrderRequest {
        user_id: account.user_id.clone(),
        lines: vec![line],
        ..PlaceOrderRequest::default()
    };
    let mut request = authorized(token, request);
    if let Some(flags) = flags {
        trace(&mut request, ORDER, flags);
    }
    orders.place_order(request).await.map(drop)
}

fn trace<T>(request: &mut Request<T>, trace_id: &str, flags: &str) {
    let parent = format!("00-{trace_id}-{CALLER}-{flags}");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", parent.parse().unwrap());
}

/// The first cell of each row of the table under `heading`.
pub(super) fn documented(heading: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/telemetry.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("\n## ").find(|part| part.starts_with(heading));
    let rows = section.unwrap_or_default().lines();
    rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect()
}
