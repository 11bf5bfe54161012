//! `angarium reconcile` on the running system: what the queue of one consumer has not delivered has its effect there, once.

use angarium::reconcile::command::Reconcile;
use angarium::reconcile::{Report, reconcile};
use contracts::Event as _;
use contracts::order::v1::GetUserViewRequest;
use contracts::user::v1::UserUpdated;
use prost::{Message as _, Name as _};
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{Stack, authorized, eventually_is};
use uuid::Uuid;

use crate::system::{OPERATOR, PASSWORD, Running};

fn asked(system: &Running) -> Reconcile {
    Reconcile {
        consumer: Vec::new(),
        since: None,
        aggregate: None,
        dry_run: false,
        json: false,
        reason: "a test".to_owned(),
        rate: 1000,
        endpoint: system.endpoints(),
        tls_ca_cert: None,
        email: OPERATOR.to_owned(),
        password_file: system.file("operator-password", &format!("{PASSWORD}\n")),
    }
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

async fn seen_version(system: &Running, user_id: &str) -> i64 {
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
    let system = Running::start(stack).await;
    let caller = system.caller();
    caller.register(OPERATOR, "Grace Hopper").await.unwrap();
    caller.verify(OPERATOR).await.unwrap();
    let user_id = system.register("ada@example.com").await;
    let seen = async || seen_version(&system, &user_id).await;
    eventually_is("the user is known", 1, seen).await;
    lose(&system, &user_id, 2).await;

    // A rehearsal of what the aggregate lacks.
    let mut rehearsal = asked(&system);
    rehearsal.dry_run = true;
    rehearsal.aggregate = Some(("user".to_owned(), user_id.clone()));
    let reports = reconcile(&rehearsal, |_| ()).await.unwrap();
    let handed: u64 = reports.iter().map(|report| report.handed_over).sum();
    assert_eq!(handed, 2, "{reports:?}");
    assert_eq!(seen().await, 1);

    // Not left to its checkpoint, which reports it as missing only after a minute.
    let mut repair = asked(&system);
    repair.aggregate = Some(("user".to_owned(), user_id.clone()));
    let reports = reconcile(&repair, |_| ()).await.unwrap();
    assert!(reports.iter().all(Report::is_complete), "{reports:?}");
    let handed: u64 = reports.iter().map(|report| report.handed_over).sum();
    assert_eq!(handed, 2, "{reports:?}");
    eventually_is("the later version is seen", 2, seen).await;
    let mut again = asked(&system);
    again.aggregate = Some(("user".to_owned(), user_id.clone()));
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
    other.password_file = system.file("wrong-password", "hunter22");
    let refused = reconcile(&other, |_| ()).await.unwrap_err();
    assert!(
        format!("{refused:#}").contains("cannot log in"),
        "{refused:#}"
    );
    system.stop().await;
}
