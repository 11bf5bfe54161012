//! Showing a user.

use contracts::user::v1::GetUserRequest;
use rstest::rstest;
use testkit::{StoreKind, reason, violated_fields};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{World, ada};

async fn get(world: &World, user_id: &str) -> Result<contracts::user::v1::User, Status> {
    let request = GetUserRequest {
        user_id: user_id.to_owned(),
    };
    let answer = world.client().get_user(request).await?;
    Ok(answer.into_inner().user.unwrap())
}

#[rstest]
#[tokio::test]
async fn a_user_is_found_as_registered(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let user = world.create(ada()).await.unwrap();
    assert_eq!(get(&world, &user.user_id).await.unwrap(), user);
    world.stop().await;
}

#[rstest]
#[tokio::test]
async fn an_unknown_user_is_not_found(
    #[values(StoreKind::Postgres, StoreKind::Sqlite)] store: StoreKind,
) {
    let world = World::new(store).await;
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let refused = get(&world, unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(reason(&refused), "USER_NOT_FOUND");
    let details = refused.get_error_details();
    let resource = details.resource_info().unwrap();
    assert_eq!(resource.resource_type, "angarium.user.v1.User");
    assert_eq!(resource.resource_name, unknown);
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_id_is_refused() {
    let world = World::new(StoreKind::Sqlite).await;
    for id in [
        "",
        "ada",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "{01890a5d-ac96-774b-bcce-b302099a8057}",
        "' OR 1=1 --",
    ] {
        let refused = get(&world, id).await.unwrap_err();
        assert_eq!(violated_fields(&refused), ["user_id"], "{id:?}");
        assert_eq!(reason(&refused), "VALIDATION_FAILED");
    }
    world.stop().await;
}
