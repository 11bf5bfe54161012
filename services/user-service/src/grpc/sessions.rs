//! Login, refresh, logout, and the list of sessions.

use contracts::user::v1::{
    AuthenticateRequest, AuthenticateResponse, EndSessionRequest, EndSessionResponse,
    ListSessionsRequest, ListSessionsResponse, RefreshTokenRequest, RefreshTokenResponse,
    RevokeTokenRequest, RevokeTokenResponse,
};
use runtime::Page;
use runtime::auth::caller;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use super::users::Users;
use crate::convert;
use crate::requests::Arrived;

pub(super) async fn authenticate(
    users: &Users,
    request: Request<AuthenticateRequest>,
) -> Result<Response<AuthenticateResponse>, Status> {
    let arrived = users.requests.take_in(request);
    let AuthenticateRequest {
        email,
        password,
        code,
    } = arrived.message;
    let code = (!code.is_empty()).then(|| SecretString::from(code));
    let password = SecretString::from(password);
    arrived.violations.into_result()?;

    let session = users
        .commands
        .authenticate(
            &email,
            password,
            code,
            (&arrived.address, &arrived.place),
            &arrived.cause,
        )
        .await?;
    Ok(Response::new(AuthenticateResponse {
        tokens: Some(convert::tokens(&session.tokens)),
        user: Some(users.shown(&session.user)),
    }))
}

pub(super) async fn refresh_token(
    users: &Users,
    request: Request<RefreshTokenRequest>,
) -> Result<Response<RefreshTokenResponse>, Status> {
    let arrived = users.requests.take_in(request);
    let token = SecretString::from(arrived.message.refresh_token);
    arrived.violations.into_result()?;

    let tokens = users.commands.refresh(&token, &arrived.address).await?;
    Ok(Response::new(RefreshTokenResponse {
        tokens: Some(convert::tokens(&tokens)),
    }))
}

pub(super) async fn revoke_token(
    users: &Users,
    request: Request<RevokeTokenRequest>,
) -> Result<Response<RevokeTokenResponse>, Status> {
    let arrived = users.requests.take_in(request);
    let token = SecretString::from(arrived.message.refresh_token);
    arrived.violations.into_result()?;

    users.commands.revoke(&token, &arrived.address).await?;
    Ok(Response::new(RevokeTokenResponse {}))
}

pub(super) async fn list(
    users: &Users,
    request: Request<ListSessionsRequest>,
) -> Result<Response<ListSessionsResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let (list, tokens) = (
        format!("ListSessions {}", caller.user_id),
        &users.page_tokens,
    );
    let (size, token) = (message.page_size, &message.page_token);
    let page = Page::read(size, token, list, tokens, &mut violations);
    violations.into_result()?;

    let found = users
        .commands
        .list_sessions(caller, page.before, page.limit())
        .await?;
    let (sessions, next_page_token) = page.cut(found, |session| session.id, tokens);
    let shown = |session| convert::session(session, caller.session_id);
    Ok(Response::new(ListSessionsResponse {
        sessions: sessions.into_iter().map(shown).collect(),
        next_page_token,
    }))
}

pub(super) async fn end(
    users: &Users,
    request: Request<EndSessionRequest>,
) -> Result<Response<EndSessionResponse>, Status> {
    let caller = caller(&request)?;
    let Arrived {
        message,
        address,
        mut violations,
        ..
    } = users.requests.take_in(request);
    let session_id = violations.uuid("session_id", &message.session_id);
    violations.into_result()?;

    users
        .commands
        .end_session(caller, session_id, &address)
        .await?;
    Ok(Response::new(EndSessionResponse {}))
}
