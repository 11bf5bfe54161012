//! The view of users, and its reported age.

use contracts::order::v1::{UserView, UserViewState};
use contracts::user::v1::UserDeleted;
use contracts::{EVENTS, Event as _, EventInfo};
use order_service::store::users::{self, Heard};
use prost::Name as _;
use prost_types::Timestamp;
use rstest::rstest;
use service::time;
use testkit::{EVENT_TIME_MS, StoreKind, eventually_is, violated_fields};

use crate::fixture::Fixture;
use crate::samples::{bare, created, new_id};

#[rstest]
#[tokio::test]
async fn who_has_not_been_heard_of_is_unknown_and_that_is_an_answer(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let answer = fixture.user_view(&user_id).await.unwrap();
    let expected = UserView {
        user_id,
        state: UserViewState::Unknown.into(),
        ..UserView::default()
    };
    assert_eq!(answer.user_view, Some(expected));
    assert_eq!(answer.latest_event_time, None);
    assert_eq!(answer.latest_handle_time, None);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_view_has_the_last_event_with_event_and_handle_time(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = fixture.known_user().await;
    let answer = fixture.user_view(&user_id).await.unwrap();
    let view = answer.user_view.unwrap();
    assert_eq!(view.state(), UserViewState::Active);
    assert_eq!(view.user_version, 1);
    let event_time = time::timestamp(EVENT_TIME_MS);
    assert_eq!(view.event_time, Some(event_time));
    let handled = view.handle_time.unwrap();
    assert!(handled.seconds > event_time.seconds, "{handled:?}");
    assert_eq!(answer.latest_event_time, Some(event_time));
    assert_eq!(answer.latest_handle_time, Some(handled));
    fixture.stop().await;
}

/// Also a future event of the contracts: it updates the version and blocks nothing.
#[rstest]
#[tokio::test]
async fn every_event_of_a_user_moves_the_version_that_is_shown(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let is_of_a_user = |event: &&EventInfo| {
        event.exchange == UserDeleted::EXCHANGE && event.aggregate == UserDeleted::AGGREGATE
    };
    let mut events: Vec<&EventInfo> = EVENTS.iter().filter(is_of_a_user).collect();
    // Nothing follows a deletion.
    events.sort_by_key(|event| event.type_name == UserDeleted::full_name());
    assert!(events.len() >= 3, "{events:?}");
    for (version, event) in (1..).zip(&events) {
        let message = bare(event, &user_id, version);
        fixture.send(&message).await;
        fixture.becomes(&message, "done").await;
        let view = fixture
            .user_view(&user_id)
            .await
            .unwrap()
            .user_view
            .unwrap();
        assert_eq!(view.user_version, version, "{event:?}");
    }
    let view = fixture
        .user_view(&user_id)
        .await
        .unwrap()
        .user_view
        .unwrap();
    assert_eq!(view.state(), UserViewState::Deleted);
    fixture.stop().await;
}

/// An operator hands a lost event over after later ones.
#[rstest]
#[tokio::test]
async fn an_event_that_comes_late_changes_nothing_of_a_later_one(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user_id = new_id();
    let heard = async |version| {
        let heard = Heard {
            user_id: user_id.parse().unwrap(),
            version,
            event_at_ms: 1000 * version,
        };
        users::heard_of_user(&fixture.db, &heard).await.unwrap();
        fixture
            .user_view(&user_id)
            .await
            .unwrap()
            .user_view
            .unwrap()
    };
    let latest = heard(3).await;
    assert_eq!(latest.user_version, 3);
    assert_eq!(heard(1).await, latest);
    assert_eq!(heard(4).await.user_version, 4);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_latest_event_is_the_last_handled_one_of_any_user(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let first = fixture.known_user().await;
    let before = fixture.user_view(&first).await.unwrap();
    fixture.send(&created(&new_id(), 1)).await;
    eventually_is("a later event is shown", true, async || {
        let now = fixture.user_view(&first).await.unwrap();
        let (earlier, later) = (before.latest_handle_time, now.latest_handle_time);
        let at = |time: Option<Timestamp>| time.map(|time| (time.seconds, time.nanos));
        at(later) > at(earlier) && now.user_view == before.user_view
    })
    .await;
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    let refused = fixture.user_view("ada").await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["user_id"]);
    fixture.stop().await;
}
