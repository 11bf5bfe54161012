//! Reading a user, and listing all users.

use contracts::user::v1::{CreateUserRequest, GetUserRequest, ListUsersRequest, User};
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::fixture::Fixture;
use crate::samples::{ada, bob, new_id};

async fn get(fixture: &Fixture, request: Request<GetUserRequest>) -> Result<User, Status> {
    let answer = fixture.client().get_user(request).await?;
    Ok(answer.into_inner().user.unwrap())
}

fn named(user_id: &str) -> GetUserRequest {
    GetUserRequest {
        user_id: user_id.to_owned(),
    }
}

#[rstest]
#[tokio::test]
async fn users_see_themselves_as_registered_and_admins_see_anyone(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let itself = fixture.by(&user.user_id, named(&user.user_id));
    assert_eq!(get(&fixture, itself).await.unwrap(), user);
    let by_admin = fixture.by_admin(named(&user.user_id));
    assert_eq!(get(&fixture, by_admin).await.unwrap(), user);
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn only_an_admin_learns_whether_another_user_exists(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let user = fixture.create(ada()).await.unwrap();
    let other = fixture.create(bob()).await.unwrap();
    let mut answers = Vec::new();
    for user_id in [other.user_id.as_str(), &new_id(), "no id at all", ""] {
        let request = fixture.by(&user.user_id, named(user_id));
        let refused = get(&fixture, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert_eq!(reason(&refused), "PERMISSION_DENIED");
        answers.push((refused.message().to_owned(), refused.details().to_vec()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for all");
    let gone = new_id();
    let refused = get(&fixture, fixture.by(&gone, named(&gone)))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let unknown = new_id();
    let refused = get(&fixture, fixture.by_admin(named(&unknown)))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(reason(&refused), "USER_NOT_FOUND");
    let details = refused.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(resource.resource_type, "angarium.user.v1.User");
    assert_eq!(resource.resource_name, unknown);
    fixture.stop().await;
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let fixture = Fixture::new(StoreKind::Sqlite).await;
    for id in [
        "",
        "ada",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "' OR 1=1 --",
    ] {
        let refused = get(&fixture, fixture.by_admin(named(id)))
            .await
            .unwrap_err();
        assert_eq!(violated_fields(&refused), ["user_id"], "{id:?}");
        assert_eq!(reason(&refused), "VALIDATION_FAILED");
    }
    fixture.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_admin_lists_all_users_page_by_page_newest_first(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let fixture = Fixture::new(store).await;
    let mut expected = Vec::new();
    for number in 0..5 {
        let request = CreateUserRequest {
            email: format!("user-{number}@example.com"),
            ..ada()
        };
        expected.insert(0, fixture.create(request).await.unwrap());
    }
    let list = async |page_token: String| {
        let request = fixture.by_admin(ListUsersRequest {
            page_size: 2,
            page_token,
        });
        fixture
            .client()
            .list_users(request)
            .await
            .unwrap()
            .into_inner()
    };
    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(token).await;
        listed.extend(page.users);
        // Users who register meanwhile do not appear.
        let late = CreateUserRequest {
            email: format!("late-{}@example.com", listed.len()),
            ..ada()
        };
        fixture.create(late).await.unwrap();
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, expected);
    let wrong = fixture.by_admin(ListUsersRequest {
        page_size: -1,
        page_token: "made up".to_owned(),
    });
    let refused = fixture.client().list_users(wrong).await.unwrap_err();
    assert_eq!(violated_fields(&refused), ["page_size", "page_token"]);
    fixture.stop().await;
}
