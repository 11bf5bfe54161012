//! `angarium serve`: starts all services and prints how to call them.

use std::fmt::Write as _;
use std::io::Write as _;

use runtime::Shutdown;
use runtime::config::LogFormat;

use crate::args::Config;
use crate::system::{Addresses, System};

/// # Errors
/// If a service cannot start, or fails.
pub async fn serve(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let building = System::build(&config);
    let Some(system) = shutdown.soft.run_until_cancelled(building).await else {
        return Ok(());
    };
    let system = system?;
    // With JSON, stdout is the log, and each service logs its address.
    if config.telemetry.format == LogFormat::Human {
        let greeting = greeting(&config, &system.addresses())?;
        // A closed stdout is no reason to stop.
        let _ = writeln!(std::io::stdout(), "{greeting}");
    }
    system.run(shutdown).await
}

fn greeting(config: &Config, addresses: &Addresses) -> anyhow::Result<String> {
    let mut listed = String::new();
    for (service, address) in addresses.iter() {
        writeln!(listed, "  {:<13}  {address}", service.title)?;
    }
    let users = addresses.of(user_service::NAME)?;
    let orders = addresses.of(order_service::NAME)?;
    let notifications = addresses.of(notification_service::NAME)?;
    let user = r#"{"email": "ada@example.com", "password": "correct horse battery", "display_name": "Ada"}"#;
    let login = r#"{"email": "ada@example.com", "password": "correct horse battery"}"#;
    let order = r#"{"user_id": "USER_ID", "lines": [{"sku": "TEA-1", "quantity": 2, "unit_price": {"currency_code": "EUR", "units": 4, "nanos": 500000000}}]}"#;
    let mails = r#"{"user_id": "USER_ID"}"#;
    let token = "'authorization: Bearer TOKEN'";
    Ok(format!(
        "Angarium is running on {stores}. Ctrl-C stops it; nothing is lost.

{listed}
Register a user, and log in:

  grpcurl -plaintext -d '{user}' {users} angarium.user.v1.UserService/CreateUser
  grpcurl -plaintext -d '{login}' {users} angarium.user.v1.UserService/Authenticate

Replace USER_ID and TOKEN by userId and accessToken of the answer:

  grpcurl -plaintext -H {token} -d '{order}' {orders} angarium.order.v1.OrderService/PlaceOrder
  grpcurl -plaintext -H {token} -d '{mails}' {notifications} angarium.notification.v1.NotificationService/ListNotifications

The same with buf:

  buf curl --protocol grpc --http2-prior-knowledge -d '{user}' http://{users}/angarium.user.v1.UserService/CreateUser
  buf curl --protocol grpc --http2-prior-knowledge -d '{login}' http://{users}/angarium.user.v1.UserService/Authenticate
  buf curl --protocol grpc --http2-prior-knowledge -H {token} -d '{order}' http://{orders}/angarium.order.v1.OrderService/PlaceOrder
  buf curl --protocol grpc --http2-prior-knowledge -H {token} -d '{mails}' http://{notifications}/angarium.notification.v1.NotificationService/ListNotifications
",
        stores = stores(config),
    ))
}

/// For people.
pub(crate) fn stores(config: &Config) -> String {
    let data = config.data_dir.display();
    match (&config.database, &config.rabbitmq) {
        (None, None) => format!("SQLite and the embedded transport in {data}/"),
        (None, Some(_)) => format!("SQLite in {data}/ and RabbitMQ"),
        (Some(_), None) => format!("PostgreSQL and the embedded transport in {data}/"),
        (Some(_), Some(_)) => "PostgreSQL and RabbitMQ".to_owned(),
    }
}
