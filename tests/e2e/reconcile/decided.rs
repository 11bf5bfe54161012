//! What an operator looks at and decides: gaps that nothing fills, and a restored producer.

use std::time::{Duration, UNIX_EPOCH};

use angarium::reconcile::command::{Accept, Action, Divergence, Listing, Skip};
use angarium::reconcile::{act, reconcile};
use contracts::user::v1::UserUpdated;
use event::Message;
use rstest::rstest;
use sea_orm::ConnectionTrait as _;
use testkit::{Stack, eventually, eventually_is};
use uuid::Uuid;

use super::{asked, seen_version, start};
use crate::system::{Running, message};

const ORDERS: &str = "orders_queue";
const MAILS: &str = "notifications_queue";

async fn act_on(system: &Running, action: Action) -> String {
    try_to(system, action).await.unwrap()
}

async fn try_to(system: &Running, action: Action) -> Result<String, String> {
    let acted = act(&asked(system), &action).await;
    acted.map_err(|error| format!("{error:#}"))
}

fn listing(consumer: &str) -> Listing {
    Listing {
        consumer: vec![consumer.to_owned()],
        json: false,
    }
}

fn user(user_id: &str) -> Option<(String, String)> {
    Some(("user".to_owned(), user_id.to_owned()))
}

/// A change of the user with this version, as from the user service.
fn changed(user_id: &str, name: &str, version: i64) -> Message {
    let event = UserUpdated {
        user_id: user_id.to_owned(),
        email: "ada@example.com".to_owned(),
        display_name: name.to_owned(),
        ..UserUpdated::default()
    };
    let mut message = message(Uuid::now_v7(), &event);
    message.app_id = Some(user_service::NAME.to_owned());
    let sequence = format!("{version:019}");
    message
        .headers
        .insert("cloudEvents_sequence".to_owned(), sequence);
    let source = format!("/angarium/{}", user_service::NAME);
    message
        .headers
        .insert("cloudEvents_source".to_owned(), source);
    message
}

#[rstest]
#[tokio::test]
async fn a_gap_is_explained_and_skipped_for_the_record(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = start(stack).await;
    let user_id = system.register("ada@example.com").await;
    let seen = async || seen_version(&system, &user_id).await;
    eventually_is("the user is known", 1, seen).await;
    let none = act_on(&system, Action::Gaps(listing(ORDERS))).await;
    assert_eq!(none, "no gaps");
    // Version 2 is nowhere.
    system.publish_raw(&changed(&user_id, "Ada", 3)).await;
    let gap = format!("user/{user_id}");
    let listed = eventually("the gap is listed", async || {
        let listed = act_on(&system, Action::Gaps(listing(ORDERS))).await;
        listed
            .contains(&gap)
            .then_some(listed.clone())
            .ok_or(listed)
    })
    .await;
    for part in [
        "1 waiting from version 3 on, and version 1 was the last one handled",
        "version 2 of user/",
        &format!("angarium reconcile skip --consumer orders_queue --aggregate {gap}"),
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let json = Listing {
        json: true,
        ..listing(ORDERS)
    };
    let json = act_on(&system, Action::Gaps(json)).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["producer"], user_service::NAME);
    let reports = reconcile(&asked(&system), |_| ()).await.unwrap();
    let orders = reports.iter().find(|report| report.consumer == ORDERS);
    assert_eq!(orders.unwrap().waiting, [format!("version 2 of {gap}")]);

    let skip = |aggregate| {
        Action::Skip(Skip {
            consumer: ORDERS.to_owned(),
            aggregate,
            event: None,
            checkpoints: None,
            reason: "lost in March".to_owned(),
        })
    };
    act_on(&system, skip(user(&user_id))).await;
    eventually_is("the later one is handled", 3, seen).await;
    let refused = try_to(&system, skip(user(&user_id))).await.unwrap_err();
    assert!(refused.contains("there is no such gap"), "{refused}");
    let record = "SELECT actor, detail FROM angarium_repair WHERE action = 'skipped' AND reason = 'lost in March'";
    let steps = system.query(order_service::NAME, record).await;
    let actor: String = steps[0].try_get("", "actor").unwrap();
    assert!(
        steps.len() == 1 && Uuid::parse_str(&actor).is_ok(),
        "{actor}"
    );
    system.stop().await;
}

/// The user service loses the version 2 of a user, and has no other one.
async fn restore(system: &Running, user_id: &str) {
    let db = system.database(user_service::NAME).await;
    for statement in [
        format!(
            "UPDATE users SET version = 1, display_name = 'Ada Lovelace' WHERE user_id = '{user_id}'"
        ),
        format!(
            "DELETE FROM angarium_outbox_history WHERE aggregate_id = '{user_id}' AND aggregate_version > 1"
        ),
    ] {
        db.execute_unprepared(&statement).await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn a_restored_producer_is_compared_and_accepted(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = start(stack).await;
    let begun = UNIX_EPOCH + UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(60);
    let [same, again] = [
        system.register("ada@example.com").await,
        system.register("mary@example.com").await,
    ];
    for user_id in [&same, &again] {
        system.rename(user_id, "Lost Name").await;
        let seen = async || seen_version(&system, user_id).await;
        eventually_is("the change is known", 2, seen).await;
        let known = async || recipient(&system, user_id).await;
        eventually_is("mails know it", "Lost Name".to_owned(), known).await;
        restore(&system, user_id).await;
    }
    // This one changes again, with the lost version.
    system.rename(&again, "New Name").await;
    let refused = "SELECT 1 FROM angarium_inbox WHERE state = 'dead'";
    let dead = async || system.query(order_service::NAME, refused).await.len();
    eventually_is("it is refused", 1, dead).await;

    for consumer in [ORDERS, MAILS] {
        let divergence = || {
            Action::Divergence(Divergence {
                listing: listing(consumer),
                since: Some(begun),
            })
        };
        let listed = act_on(&system, divergence()).await;
        for part in [
            format!(
                "{consumer}: user-service has lost version 2 of user/{same}; version 1 is the last one that both know"
            ),
            format!("user-service has lost version 2 (used again) of user/{again}"),
        ] {
            assert!(listed.contains(&part), "{part}: {listed}");
        }
        let accept = |aggregate: Option<(String, String)>| {
            Action::Accept(Accept {
                consumer: consumer.to_owned(),
                producer: user_service::NAME.to_owned(),
                all: aggregate.is_none(),
                aggregate,
                since: Some(begun),
                reason: "restored from the backup".to_owned(),
            })
        };
        let accepted = act_on(&system, accept(user(&same))).await;
        assert!(accepted.contains("accepted, for the record"), "{accepted}");
        let twice = try_to(&system, accept(user(&same))).await.unwrap_err();
        assert!(twice.contains("has lost no event"), "{twice}");
        act_on(&system, accept(None)).await;
        let listed = act_on(&system, divergence()).await;
        assert!(listed.starts_with("no producer has lost"), "{listed}");
    }
    eventually_is("nothing is refused any more", 0, dead).await;
    for (user_id, version, name) in [(&same, 1, "Ada Lovelace"), (&again, 2, "New Name")] {
        let seen = async || seen_version(&system, user_id).await;
        eventually_is("the view is where the producer is", version, seen).await;
        let known = async || recipient(&system, user_id).await;
        eventually_is("mails use the restored name", name.to_owned(), known).await;
    }
    // The next changes follow in order.
    system.rename(&same, "Next Name").await;
    let seen = async || seen_version(&system, &same).await;
    eventually_is("the next version follows", 2, seen).await;
    system.stop().await;
}

/// The name that mails use.
async fn recipient(system: &Running, user_id: &str) -> String {
    let reading = format!("SELECT display_name FROM recipient WHERE user_id = '{user_id}'");
    let rows = system.query(notification_service::NAME, &reading).await;
    let name = rows.first().map(|row| row.try_get("", "display_name"));
    name.transpose().unwrap().unwrap_or_default()
}
