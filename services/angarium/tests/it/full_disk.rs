//! A full disk under all services in one process: acknowledged calls are kept, health reports the state, and work
//! continues after space is freed.

use std::collections::BTreeSet;

use contracts::money::Money;
use contracts::notification::v1::NotificationState;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{ListOrdersRequest, OrderLine, PlaceOrderRequest};
use testkit::{SmallDisk, authorized, eventually, eventually_is, reason};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::process::{Account, Process, command, run};

/// A pool has ten connections: so many calls reach each of them.
const QUESTIONS: usize = 30;
/// A welcome and a code. Each order adds one.
const REGISTRATION_MAILS: usize = 2;

struct Customer<'a> {
    account: &'a Account,
    token: String,
}

impl Customer<'_> {
    async fn place(&self, orders: &Channel) -> Result<String, Status> {
        let request = PlaceOrderRequest {
            user_id: self.account.user_id.clone(),
            lines: vec![OrderLine {
                sku: "TEA-1".to_owned(),
                quantity: 2,
                unit_price: Some(Money {
                    currency_code: "EUR".to_owned(),
                    units: 4,
                    nanos: 0,
                }),
            }],
            ..PlaceOrderRequest::default()
        };
        let placed = OrderServiceClient::new(orders.clone())
            .place_order(authorized(&self.token, request))
            .await?;
        Ok(placed.into_inner().order.unwrap().order_id)
    }

    async fn orders(&self, orders: &Channel) -> Result<BTreeSet<String>, Status> {
        let request = ListOrdersRequest {
            user_id: self.account.user_id.clone(),
            page_size: 100,
            ..ListOrdersRequest::default()
        };
        let listed = OrderServiceClient::new(orders.clone())
            .list_orders(authorized(&self.token, request))
            .await?;
        let listed = listed.into_inner().orders.into_iter();
        Ok(listed.map(|order| order.order_id).collect())
    }
}

async fn connect(address: &str) -> Channel {
    let endpoint = Channel::from_shared(address.to_owned()).unwrap();
    endpoint.connect().await.unwrap()
}

async fn health(service: &Channel) -> ServingStatus {
    let asked = HealthClient::new(service.clone())
        .check(HealthCheckRequest::default())
        .await;
    asked.unwrap().into_inner().status()
}

#[tokio::test]
async fn after_a_full_disk_each_order_that_was_taken_is_kept() {
    let test = "after_a_full_disk_each_order_that_was_taken_is_kept";
    let Some(disk) = SmallDisk::for_test(8, test) else {
        return;
    };
    let data = disk.path().join("data");
    let process = Process::start(&mut command(&data));
    let account = process.register("ada@example.com").await.unwrap();
    let customer = Customer {
        token: process.log_in(&account).await.unwrap(),
        account: &account,
    };
    let orders = connect(&process.orders).await;
    let first = eventually("an order is taken", async || customer.place(&orders).await);
    let mut taken = BTreeSet::from([first.await]);
    eventually_is("it serves", ServingStatus::Serving, async || {
        health(&orders).await
    })
    .await;

    disk.fill();
    let mut refused = Vec::new();
    eventually("six orders are refused", async || {
        match customer.place(&orders).await {
            Ok(order) => drop(taken.insert(order)),
            Err(status) => refused.push(status),
        }
        if refused.len() < 6 {
            Err(refused.len())
        } else {
            Ok(())
        }
    })
    .await;
    for status in &refused {
        assert_eq!(reason(status), "DATABASE_FULL", "{status:?}");
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
    eventually_is("it does not serve", ServingStatus::NotServing, async || {
        health(&orders).await
    })
    .await;

    disk.free();
    for _ in 0..6 {
        taken.insert(customer.place(&orders).await.unwrap());
    }
    eventually_is("it serves again", ServingStatus::Serving, async || {
        health(&orders).await
    })
    .await;
    for _ in 0..QUESTIONS {
        let asked = tokio::join!(customer.orders(&orders), customer.orders(&orders));
        assert_eq!(asked.0.unwrap(), taken);
        assert_eq!(asked.1.unwrap(), taken);
    }
    // The queue file and the mails are on the same disk.
    let expected = REGISTRATION_MAILS + taken.len();
    let sent = eventually("each mail is sent", async || {
        let mails = process.mails(&account, &customer.token).await;
        let mut mails = mails.map_err(|status| format!("{status}"))?;
        mails.retain(|mail| mail.state() == NotificationState::Sent);
        if mails.len() == expected {
            Ok(mails)
        } else {
            Err(format!("{mails:?}"))
        }
    })
    .await;
    for mail in sent {
        let file = data
            .join("mails")
            .join(format!("{}.eml", mail.notification_id));
        assert!(std::fs::metadata(file).unwrap().len() > 0, "an empty mail");
    }

    process.kill();
    std::fs::remove_file(data.join("events.db-shm")).unwrap();
    disk.fill();
    let refused = run(&mut command(&data));
    let text = [refused.stdout, refused.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(!refused.status.success());
    assert!(
        text.contains("events.db") && text.contains("the disk is full"),
        "{text}"
    );
    disk.free();
    let process = Process::start(&mut command(&data));
    let orders = connect(&process.orders).await;
    let kept = eventually("the orders are shown", async || {
        customer.orders(&orders).await
    });
    assert_eq!(kept.await, taken);
    assert_eq!(process.interrupt().code(), Some(0));
}
