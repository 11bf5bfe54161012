//! The calls about accounts: registration, reading, changes and deletion.

use contracts::user::v1::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse, GetUserRequest,
    GetUserResponse, ListUsersRequest, ListUsersResponse, UpdateUserRequest, UpdateUserResponse,
};
use runtime::Page;
use runtime::auth::caller;
use runtime::field_mask::FieldMask;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use super::users::Users;
use crate::commands::{Changes, Deletion};
use crate::password::{Attempt, Password};
use crate::requests::{Arrived, valid};
use crate::user::{DisplayName, Email};

const WRITABLE: [&str; 2] = ["email", "display_name"];

pub(super) async fn create_user(
    users: &Users,
    request: Request<CreateUserRequest>,
) -> Result<Response<CreateUserResponse>, Status> {
    let Arrived {
        message,
        address,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let request_id = &message.request_id;
    let call = users
        .requests
        .call(None, "CreateUser", request_id, &message, &mut violations);
    let password = SecretString::from(message.password);
    let email = valid("email", Email::parse(&message.email), &mut violations);
    let password = valid("password", Password::parse(password), &mut violations);
    let display_name = DisplayName::parse(&message.display_name);
    let display_name = valid("display_name", display_name, &mut violations);
    let (true, Some(email), Some(password), Some(display_name)) =
        (violations.is_empty(), email, password, display_name)
    else {
        return Err(violations.into_status());
    };

    let call = call.as_ref();
    let user = users
        .commands
        .create_user(email, password, display_name, &address, call, &cause)
        .await?;
    Ok(Response::new(CreateUserResponse {
        user: Some(users.shown(&user)),
    }))
}

pub(super) async fn get_user(
    users: &Users,
    request: Request<GetUserRequest>,
) -> Result<Response<GetUserResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        mut violations,
        ..
    } = users.requests.take_in(request);
    caller.may_name(&message.user_id)?;
    let user_id = violations.uuid("user_id", &message.user_id);
    violations.into_result()?;

    let user = users.commands.get_user(caller, user_id).await?;
    Ok(Response::new(GetUserResponse {
        user: Some(users.shown(&user)),
    }))
}

pub(super) async fn list_users(
    users: &Users,
    request: Request<ListUsersRequest>,
) -> Result<Response<ListUsersResponse>, Status> {
    let Arrived {
        message,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let (list, tokens) = ("ListUsers".to_owned(), &users.page_tokens);
    let (size, token) = (message.page_size, &message.page_token);
    let page = Page::read(size, token, list, tokens, &mut violations);
    violations.into_result()?;

    let found = users.commands.list_users(page.before, page.limit()).await?;
    let (listed, next_page_token) = page.cut(found, |user| user.id, tokens);
    Ok(Response::new(ListUsersResponse {
        users: listed.iter().map(|user| users.shown(user)).collect(),
        next_page_token,
    }))
}

pub(super) async fn update_user(
    users: &Users,
    request: Request<UpdateUserRequest>,
) -> Result<Response<UpdateUserResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        address,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let request_id = &message.request_id;
    if let Some(user) = &message.user {
        caller.may_name(&user.user_id)?;
    }
    let call = users.requests.call(
        Some(caller),
        "UpdateUser",
        request_id,
        &message,
        &mut violations,
    );
    let paths = message.update_mask.unwrap_or_default().paths;
    let mask = FieldMask::read(&paths, &WRITABLE, &mut violations);
    let user = message.user.unwrap_or_default();
    let user_id = violations.uuid("user.user_id", &user.user_id);
    let mut email = None;
    if mask.writes("email", !user.email.is_empty()) {
        email = valid("user.email", Email::parse(&user.email), &mut violations);
    }
    let mut display_name = None;
    if mask.writes("display_name", !user.display_name.is_empty()) {
        let parsed = DisplayName::parse(&user.display_name);
        display_name = valid("user.display_name", parsed, &mut violations);
    }
    violations.into_result()?;

    let changes = Changes {
        email,
        display_name,
        etag: user.etag,
        current_password: Attempt::new(message.current_password.into()),
    };
    let call = call.as_ref();
    let user = users
        .commands
        .update_user(caller, user_id, changes, &address, call, &cause)
        .await?;
    Ok(Response::new(UpdateUserResponse {
        user: Some(users.shown(&user)),
    }))
}

pub(super) async fn delete_user(
    users: &Users,
    request: Request<DeleteUserRequest>,
) -> Result<Response<DeleteUserResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        address,
        cause,
        mut violations,
        ..
    } = users.requests.take_in(request);
    caller.may_name(&message.user_id)?;
    let request_id = &message.request_id;
    let call = users.requests.call(
        Some(caller),
        "DeleteUser",
        request_id,
        &message,
        &mut violations,
    );
    let user_id = violations.uuid("user_id", &message.user_id);
    violations.into_result()?;

    let deletion = Deletion {
        user_id,
        etag: message.etag,
        current_password: Attempt::new(message.current_password.into()),
    };
    users
        .commands
        .delete_user(caller, deletion, &address, call.as_ref(), &cause)
        .await?;
    Ok(Response::new(DeleteUserResponse {}))
}
