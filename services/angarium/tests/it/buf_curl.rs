//! `buf curl` completes an account's life, with the published descriptor set and with reflection: no generated client
//! and no proto files are needed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rstest::rstest;
use serde_json::{Deserializer, Value, json};
use testkit::{eventually, examples};

use crate::examples::{ADMIN, embedded};
use crate::process::{PASSWORD, Process, command, run};

const EMAIL: &str = "ada@example.com";
const NEXT_PASSWORD: &str = "staple battery horse correct";
const USERS: &str = "angarium.user.v1.UserService";
const ORDERS: &str = "angarium.order.v1.OrderService";
const NOTIFICATIONS: &str = "angarium.notification.v1.NotificationService";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Reflection,
    DescriptorSet,
}

struct Curl<'a> {
    process: &'a Process,
    mails: PathBuf,
    by: By,
}

#[rstest]
#[tokio::test]
async fn from_registering_to_deleting(#[values(By::Reflection, By::DescriptorSet)] by: By) {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(&mut embedded(data.path()));
    let mails = data.path().join("mails");
    let curl = Curl {
        process: &process,
        mails,
        by,
    };
    let mut codes = HashSet::new();
    let user_id = curl.register(EMAIL);
    curl.verify(EMAIL, &mut codes).await;
    curl.register(ADMIN);
    curl.verify(ADMIN, &mut codes).await;
    let (ada, admin) = (curl.log_in(EMAIL, PASSWORD), curl.log_in(ADMIN, PASSWORD));
    let (ada, admin) = (ada.unwrap(), admin.unwrap());

    let line =
        json!({"sku": "TEA", "quantity": 2, "unit_price": {"currency_code": "EUR", "units": 4}});
    let place = json!({ "lines": [line] });
    let placed = eventually("the order is placed", async || {
        curl.call(ORDERS, "PlaceOrder", Some(&ada), &place)
    })
    .await;
    assert_eq!(placed["order"]["totalPrice"]["units"], "8");
    let order = json!({ "order_id": placed["order"]["orderId"] });
    let early = curl.call(
        ORDERS,
        "ShipOrder",
        Some(&admin),
        &json!({"order_id": order["order_id"], "carrier": "Courier", "tracking_number": "A-1"}),
    );
    assert_refused(&early, "failed_precondition", "ORDER_NOT_CONFIRMED");

    let mut watching = curl
        .command(ORDERS, "WatchOrder", Some(&ada), &order)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut states = Deserializer::from_reader(watching.stdout.take().unwrap())
        .into_iter::<Value>()
        .map(|answer| answer.unwrap()["order"]["state"].clone());
    assert_eq!(states.next().unwrap(), "ORDER_STATE_PLACED");
    curl.call(ORDERS, "ConfirmOrder", Some(&admin), &order)
        .unwrap();
    assert_eq!(states.next().unwrap(), "ORDER_STATE_CONFIRMED");
    let parcel =
        json!({"order_id": order["order_id"], "carrier": "Courier", "tracking_number": "A-1"});
    curl.call(ORDERS, "ShipOrder", Some(&admin), &parcel)
        .unwrap();
    assert_eq!(states.next().unwrap(), "ORDER_STATE_SHIPPED");
    assert_eq!(states.next(), None);
    assert!(watching.wait().unwrap().success());

    let out =
        json!({"preferences": {"order_placed_mails": false}, "update_mask": "orderPlacedMails"});
    let wanted = curl
        .call(NOTIFICATIONS, "UpdatePreferences", Some(&ada), &out)
        .unwrap();
    assert_eq!(wanted["preferences"]["orderPlacedMails"], false);

    curl.call(
        USERS,
        "RequestPasswordReset",
        None,
        &json!({ "email": EMAIL }),
    )
    .unwrap();
    let code = curl.code(EMAIL, &mut codes).await;
    let reset = json!({"code": code, "new_password": NEXT_PASSWORD});
    curl.call(USERS, "ResetPassword", None, &reset).unwrap();
    let old = curl.log_in(EMAIL, PASSWORD);
    assert_refused(&old, "unauthenticated", "CREDENTIALS_INVALID");
    let ada = curl.log_in(EMAIL, NEXT_PASSWORD).unwrap();

    let gone = json!({ "user_id": user_id, "current_password": NEXT_PASSWORD });
    curl.call(USERS, "DeleteUser", Some(&ada), &gone).unwrap();
    let old = curl.log_in(EMAIL, NEXT_PASSWORD);
    assert_refused(&old, "unauthenticated", "CREDENTIALS_INVALID");
    assert_eq!(process.interrupt().code(), Some(0));
}

#[test]
fn in_production_the_descriptor_set_replaces_reflection() {
    let data = tempfile::tempdir().unwrap();
    let key = |name: char| format!("{name}J5yH0f1Qmz8xKc3vWbR7uTq2LsPd9NaE");
    let process = Process::start(
        command(&data.path().join("data"))
            .env("MODE", "production")
            .env("GRPC_PLAINTEXT", "allow")
            .env("SMTP_URL", "smtp://127.0.0.1:1")
            .env("SECRET_KEY", key('s'))
            .env("MAIL_SEALING_KEY", key('m')),
    );
    let curl = |by| Curl {
        process: &process,
        mails: PathBuf::new(),
        by,
    };
    let blind = run(&mut curl(By::Reflection).command(USERS, "GetUser", None, &json!({})));
    assert!(!blind.status.success());
    let said = String::from_utf8_lossy(&blind.stderr);
    assert!(said.contains("failed to find service"), "{said}");
    let seeing = curl(By::DescriptorSet).call(USERS, "GetUser", None, &json!({}));
    assert_refused(&seeing, "unauthenticated", "UNAUTHENTICATED");
}

impl Curl<'_> {
    fn register(&self, email: &str) -> Value {
        let request = json!({"email": email, "password": PASSWORD, "display_name": "Ada"});
        let created = self.call(USERS, "CreateUser", None, &request).unwrap();
        created["user"]["userId"].clone()
    }

    async fn verify(&self, email: &str, used: &mut HashSet<String>) {
        let request = json!({ "code": self.code(email, used).await });
        let verified = self.call(USERS, "VerifyEmail", None, &request).unwrap();
        assert_eq!(verified["user"]["emailVerified"], true);
    }

    /// Or the refusal.
    fn log_in(&self, email: &str, password: &str) -> Result<String, Value> {
        let request = json!({"email": email, "password": password});
        let answer = self.call(USERS, "Authenticate", None, &request)?;
        Ok(answer["tokens"]["accessToken"].as_str().unwrap().to_owned())
    }

    /// A new code in a mail to this address.
    async fn code(&self, email: &str, used: &mut HashSet<String>) -> String {
        let code = eventually("a mail with a code", async || {
            let mails = std::fs::read_dir(&self.mails).map_err(|error| error.to_string())?;
            let mails = mails.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok());
            mails
                .filter(|mail| mail.contains(email))
                .filter_map(|mail| angarium::demo::code_in(&mail))
                .find(|code| !used.contains(code))
                .ok_or_else(|| "none".to_owned())
        })
        .await;
        used.insert(code.clone());
        code
    }

    /// As buf prints it.
    fn call(
        &self,
        service: &str,
        method: &str,
        token: Option<&str>,
        request: &Value,
    ) -> Result<Value, Value> {
        let output = run(&mut self.command(service, method, token, request));
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        let refusal = serde_json::from_slice(&output.stderr);
        Err(refusal.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
    }

    fn command(
        &self,
        service: &str,
        method: &str,
        token: Option<&str>,
        request: &Value,
    ) -> Command {
        let buf = examples::buf();
        let address = match service {
            USERS => &self.process.users,
            ORDERS => &self.process.orders,
            _ => &self.process.notifications,
        };
        let mut command = Command::new(&buf.program);
        command.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]);
        if self.by == By::DescriptorSet {
            command.arg("--schema").arg(&buf.descriptors);
        }
        if let Some(token) = token {
            command.args(["-H", &format!("authorization: Bearer {token}")]);
        }
        command.args(["-d", &request.to_string()]);
        command.arg(format!("{address}/{service}/{method}"));
        // Ignores a buf.yaml in the folder of the tests.
        command.current_dir(Path::new("/"));
        command
    }
}

/// buf shows error details as bytes, in base64.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: &Result<T, Value>, code: &str, reason: &str) {
    let refusal = answer.as_ref().unwrap_err();
    assert_eq!(refusal["code"], code, "{refusal}");
    let details = refusal["details"].as_array().unwrap();
    let info = details
        .iter()
        .find(|detail| detail["type"] == "google.rpc.ErrorInfo")
        .unwrap_or_else(|| panic!("no ErrorInfo: {refusal}"));
    let info = STANDARD_NO_PAD
        .decode(info["value"].as_str().unwrap())
        .unwrap();
    let info = String::from_utf8_lossy(&info).into_owned();
    assert!(
        info.contains(reason) && info.contains("angarium"),
        "{info:?}"
    );
}
