//! `angarium reconcile` on the running system: what the queue of one consumer has not delivered has its effect there, once.

use std::time::Duration;

use angarium::reconcile::command::{Reconcile, Repair};
use angarium::reconcile::{Access, Report, reconcile};
use contracts::Event as _;
use contracts::order::v1::GetUserViewRequest;
use contracts::user::v1::UserUpdated;
use prost::{Message as _, Name as _};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{Stack, authorized, eventually_is};
use uuid::Uuid;

use crate::system::{OPERATOR, PASSWORD, Running};

pub(crate) mod decided;
mod newcomer;

pub(crate) fn asked(system: &Running) -> Reconcile {
    let repair = Repair {
        consumer: Vec::new(),
        since: None,
        aggregate: None,
        snapshot: false,
        dry_run: false,
        json: false,
        reason: "a test".to_owned(),
        rate: 1000,
    };
    let password = system.file("operator-password", &format!("{PASSWORD}\n"));
    let access = Access {
        endpoint: system.endpoints(),
        tls_ca_cert: None,
        email: Some(OPERATOR.to_owned()),
        password_file: Some(password),
        patience: Duration::from_secs(20),
    };
    Reconcile {
        action: None,
        repair,
        access,
    }
}

/// A system with an operator.
pub(crate) async fn start(stack: Stack) -> Running {
    let system = Running::start(stack).await;
    let caller = system.caller();
    caller.register(OPERATOR, "Grace Hopper").await.unwrap();
    caller.verify(OPERATOR).await.unwrap();
    system
}

/// As if the broker had lost it after its confirm: it is in the history of its producer, and in no queue.
async fn lose(system: &Running, user_id: &str, version: i64) -> Uuid {
    let id = Uuid::now_v7();
    let event = UserUpdated {
        user_id: user_id.to_owned(),
        email: "ada@example.com".to_owned(),
        display_name: "Countess Lovelace".to_owned(),
        ..UserUpdated::default()
    };
    let db = system.database(user_service::NAME).await;
    let inserting = "
        INSERT INTO angarium_outbox_history
            (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
             aggregate_version, payload, correlation_id, created_at, published_at)
        VALUES (0, {uuid $1}, $2, $3, false, $4, $5, $6, $7, $8, 'lost', {time}, {time})";
    let values = [
        id.to_string().into(),
        UserUpdated::EXCHANGE.into(),
        UserUpdated::ROUTING_KEY.into(),
        UserUpdated::full_name().into(),
        UserUpdated::AGGREGATE.into(),
        user_id.into(),
        version.into(),
        event.encode_to_vec().into(),
    ];
    store::sql::execute(&db, inserting, values).await.unwrap();
    id
}

pub(crate) async fn seen_version(system: &Running, user_id: &str) -> i64 {
    let request = GetUserViewRequest {
        user_id: user_id.to_owned(),
    };
    let request = authorized(&system.tokens.admin(), request);
    let answer = system.orders.clone().get_user_view(request).await.unwrap();
    answer.into_inner().user_view.unwrap().user_version
}

#[rstest]
#[tokio::test]
async fn what_no_queue_has_delivered_is_handed_over_once(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = start(stack).await;
    let user_id = system.register("ada@example.com").await;
    let seen = async || seen_version(&system, &user_id).await;
    eventually_is("the user is known", 1, seen).await;
    lose(&system, &user_id, 2).await;

    // A rehearsal of what the aggregate lacks.
    let mut rehearsal = asked(&system);
    rehearsal.repair.dry_run = true;
    rehearsal.repair.aggregate = Some(("user".to_owned(), user_id.clone()));
    let reports = reconcile(&rehearsal, |_| ()).await.unwrap();
    let handed: u64 = reports.iter().map(|report| report.handed_over).sum();
    assert_eq!(handed, 2, "{reports:?}");
    assert_eq!(seen().await, 1);

    // Not left to its checkpoint, which reports it as missing only after a minute.
    let mut repair = asked(&system);
    repair.repair.aggregate = Some(("user".to_owned(), user_id.clone()));
    let reports = reconcile(&repair, |_| ()).await.unwrap();
    assert!(reports.iter().all(Report::is_complete), "{reports:?}");
    let handed: u64 = reports.iter().map(|report| report.handed_over).sum();
    assert_eq!(handed, 2, "{reports:?}");
    eventually_is("the later version is seen", 2, seen).await;
    let mut again = asked(&system);
    again.repair.aggregate = Some(("user".to_owned(), user_id.clone()));
    let reports = reconcile(&again, |_| ()).await.unwrap();
    assert!(
        reports.iter().all(|report| report.handed_over == 0),
        "{reports:?}"
    );
    let record =
        "SELECT actor FROM angarium_repair WHERE reason = 'a test' AND action = 'handed over'";
    for consumer in [order_service::NAME, notification_service::NAME] {
        let steps = system.query(consumer, record).await;
        assert_eq!(steps.len(), 1, "{consumer}");
        let actor: String = steps[0].try_get("", "actor").unwrap();
        assert!(Uuid::parse_str(&actor).is_ok(), "{actor}");
    }
    // The history has a version that the user does not, which is this test's doing.
    let db = system.database(user_service::NAME).await;
    db.execute_unprepared("DELETE FROM angarium_outbox_history WHERE sequence = 0")
        .await
        .unwrap();
    system.stop().await;
}

#[tokio::test]
async fn only_an_operator_reconciles() {
    let system = Running::start(Stack::Embedded).await;
    let caller = system.caller();
    // Not verified.
    caller.register(OPERATOR, "Grace Hopper").await.unwrap();
    let refused = reconcile(&asked(&system), |_| ()).await.unwrap_err();
    assert!(format!("{refused:#}").contains("permission"), "{refused:#}");
    let mut other = asked(&system);
    other.access.password_file = Some(system.file("wrong-password", "hunter22"));
    let refused = reconcile(&other, |_| ()).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("cannot log in"),
        "{refused:#}"
    );
    system.stop().await;
}

/// One service is away: the others are repaired, and the report says what is left.
#[tokio::test]
async fn a_service_that_does_not_answer_is_reported() {
    let system = start(Stack::Embedded).await;
    let user_id = system.register("ada@example.com").await;
    let seen = async || seen_version(&system, &user_id).await;
    eventually_is("the user is known", 1, seen).await;
    let mut partly = asked(&system);
    partly.access.patience = Duration::from_millis(500);
    partly.repair.aggregate = Some(("user".to_owned(), user_id.clone()));
    let away = (
        notification_service::NAME.to_owned(),
        "http://127.0.0.1:1".to_owned(),
    );
    partly
        .access
        .endpoint
        .retain(|(service, _)| *service != away.0);
    partly.access.endpoint.push(away);
    let reports = reconcile(&partly, |_| ()).await.unwrap();
    let names = |report: &Report| report.unreachable.iter().cloned().collect::<Vec<_>>();
    for report in &reports {
        // As a consumer it ends early; as a producer it is named.
        let is_itself = report.consumer == notification_service::events::QUEUE;
        assert_eq!(names(report), [notification_service::NAME], "{report:?}");
        assert_eq!(report.ended.is_some(), is_itself, "{report:?}");
        assert!(!report.is_complete(), "{report:?}");
    }
    let orders = reports
        .iter()
        .find(|report| report.consumer == order_service::events::QUEUE);
    assert_eq!(orders.unwrap().known, 1, "{reports:?}");
    system.stop().await;
}

/// It starts a moment later.
#[tokio::test]
async fn a_call_is_repeated_until_the_service_answers() {
    let system = start(Stack::Embedded).await;
    let mut asked = asked(&system);
    let orders = system
        .endpoints()
        .into_iter()
        .find(|(name, _)| name == order_service::NAME);
    let (name, url) = orders.unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let late = listener.local_addr().unwrap();
    drop(listener);
    asked
        .access
        .endpoint
        .retain(|(service, _)| *service != name);
    asked.access.endpoint.push((name, format!("http://{late}")));
    let target = url.trim_start_matches("http://").to_owned();
    let starts_late = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let listener = tokio::net::TcpListener::bind(late).await.unwrap();
        let mut links = tokio::task::JoinSet::new();
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let mut to = tokio::net::TcpStream::connect(&target).await.unwrap();
            links.spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    };
    let reports = tokio::select! {
        reports = reconcile(&asked, |_| ()) => reports.unwrap(),
        () = starts_late => unreachable!("it serves until the end"),
    };
    assert!(reports.iter().all(Report::is_complete), "{reports:?}");
    system.stop().await;
}
