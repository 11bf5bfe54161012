//! ghz places orders with a token, by reflection and by the proto files: each call is an order.

use std::path::Path;
use std::process::Command;

use contracts::order::v1::ListOrdersRequest;
use contracts::order::v1::order_service_client::OrderServiceClient;
use serde_json::{Value, json};
use testkit::{Tools, authorized, eventually};

use crate::process::{Process, command, run};

const CALLS: usize = 200;

#[tokio::test]
async fn ghz_places_orders_and_its_report_has_no_error() {
    let ghz = || Tools::ready().program("ghz");
    if ghz().is_none() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(command(data.path()).env("GRPC_RATE_LIMIT", "off"));
    let account = process.register("ada@example.com").await.unwrap();
    let token = process.log_in(&account).await.unwrap();
    let order = json!({"user_id": account.user_id, "lines": [
        {"sku": "TEA-1", "quantity": 2, "unit_price": {"currency_code": "EUR", "units": 4}}
    ]});
    // Until the service has the user and the key.
    eventually("an order is placed", async || {
        let report = place(&mut ghz().unwrap(), &process, &token, &order, 1);
        let placed = report["statusCodeDistribution"]["OK"] == 1;
        if placed { Ok(()) } else { Err(report) }
    })
    .await;

    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut by_files = ghz().unwrap();
    by_files
        .current_dir(root)
        .args(["--proto", "proto/angarium/order/v1/order_service.proto"])
        .args(["--import-paths", "proto,third_party/proto"]);
    for ghz in [&mut ghz().unwrap(), &mut by_files] {
        let report = place(ghz, &process, &token, &order, CALLS);
        assert_eq!(report["count"], CALLS, "{report}");
        assert_eq!(report["statusCodeDistribution"], json!({ "OK": CALLS }));
        assert_eq!(report["errorDistribution"], json!({}));
        assert!(report["rps"].as_f64().unwrap() > 1.0, "{report}");
    }
    assert_eq!(
        orders(&process, &account.user_id, &token).await,
        2 * CALLS + 1
    );
    assert_eq!(process.interrupt().code(), Some(0));
}

fn place(ghz: &mut Command, process: &Process, token: &str, order: &Value, calls: usize) -> Value {
    let metadata = json!({ "authorization": format!("Bearer {token}") });
    ghz.args(["--insecure", "--format", "json", "--concurrency", "1"])
        .args(["--total", &calls.to_string()])
        .args(["--call", "angarium.order.v1.OrderService/PlaceOrder"])
        .args(["--metadata", &metadata.to_string()])
        .args(["--data", &order.to_string()])
        .arg(process.orders.trim_start_matches("http://"));
    let output = run(ghz);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complained}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn orders(process: &Process, user_id: &str, token: &str) -> usize {
    let mut client = OrderServiceClient::connect(process.orders.clone())
        .await
        .unwrap();
    let (mut page_token, mut orders) = (String::new(), 0);
    loop {
        let request = ListOrdersRequest {
            user_id: user_id.to_owned(),
            page_size: 100,
            page_token,
            ..ListOrdersRequest::default()
        };
        let page = client
            .list_orders(authorized(token, request))
            .await
            .unwrap()
            .into_inner();
        orders += page.orders.len();
        if page.next_page_token.is_empty() {
            return orders;
        }
        page_token = page.next_page_token;
    }
}
