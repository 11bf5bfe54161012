//! `angarium.user.v1.UserService`: reads a request, calls a command, writes the answer.

use contracts::user::v1::user_service_server::UserService;
use contracts::user::v1::{
    AuthenticateRequest, AuthenticateResponse, ChangePasswordRequest, ChangePasswordResponse,
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse,
    EndSessionRequest, EndSessionResponse, GetUserRequest, GetUserResponse, ListSessionsRequest,
    ListSessionsResponse, ListUsersRequest, ListUsersResponse, RefreshTokenRequest,
    RefreshTokenResponse, RequestEmailVerificationRequest, RequestEmailVerificationResponse,
    RequestPasswordResetRequest, RequestPasswordResetResponse, ResetPasswordRequest,
    ResetPasswordResponse, RevokeTokenRequest, RevokeTokenResponse, UpdateUserRequest,
    UpdateUserResponse, VerifyEmailRequest, VerifyEmailResponse,
};
use tonic::{Request, Response, Status};

mod accounts;
mod passwords;
mod sessions;
mod users;
mod verification;

pub use users::Users;

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        accounts::create_user(self, request).await
    }

    async fn verify_email(
        &self,
        request: Request<VerifyEmailRequest>,
    ) -> Result<Response<VerifyEmailResponse>, Status> {
        verification::verify_email(self, request).await
    }

    async fn request_email_verification(
        &self,
        request: Request<RequestEmailVerificationRequest>,
    ) -> Result<Response<RequestEmailVerificationResponse>, Status> {
        verification::request_email_verification(self, request).await
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<AuthenticateResponse>, Status> {
        sessions::authenticate(self, request).await
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        sessions::refresh_token(self, request).await
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        sessions::revoke_token(self, request).await
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        accounts::get_user(self, request).await
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        accounts::list_users(self, request).await
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        accounts::update_user(self, request).await
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        passwords::change_password(self, request).await
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        passwords::request_password_reset(self, request).await
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        passwords::reset_password(self, request).await
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        accounts::delete_user(self, request).await
    }

    async fn list_sessions(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        sessions::list(self, request).await
    }

    async fn end_session(
        &self,
        request: Request<EndSessionRequest>,
    ) -> Result<Response<EndSessionResponse>, Status> {
        sessions::end(self, request).await
    }
}
