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
    UpdateUserResponse, User as UserMessage, VerifyEmailRequest, VerifyEmailResponse,
};
use runtime::Page;
use runtime::auth::caller;
use runtime::field_mask::FieldMask;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use crate::commands::{Changes, Deletion, Verified};
use crate::password::{Attempt, Password};
use crate::requests::{Arrived, valid};
use crate::user::{DisplayName, Email};

mod sessions;
mod users;

pub use users::Users;

/// The fields that UpdateUser may change.
const WRITABLE: [&str; 2] = ["email", "display_name"];

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let Arrived {
            message,
            address,
            cause,
            mut violations,
        } = self.requests.take_in(request);
        let request_id = &message.request_id;
        let call = self
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
        let user = self
            .commands
            .create_user(email, password, display_name, &address, call, &cause)
            .await?;
        Ok(Response::new(CreateUserResponse {
            user: Some(self.shown(&user)),
        }))
    }

    async fn verify_email(
        &self,
        request: Request<VerifyEmailRequest>,
    ) -> Result<Response<VerifyEmailResponse>, Status> {
        let Arrived {
            message,
            address,
            cause,
            mut violations,
        } = self.requests.take_in(request);
        let request_id = &message.request_id;
        let call = self
            .requests
            .call(None, "VerifyEmail", request_id, &message, &mut violations);
        violations.into_result()?;

        let (code, call) = (SecretString::from(message.code), call.as_ref());
        let verified = self
            .commands
            .verify_email(&code, &address, call, &cause)
            .await?;
        let user = match verified {
            Verified::Now(user) => self.shown(&user),
            Verified::Before(user_id) => UserMessage {
                user_id: user_id.to_string(),
                email_verified: true,
                ..UserMessage::default()
            },
        };
        Ok(Response::new(VerifyEmailResponse { user: Some(user) }))
    }

    async fn request_email_verification(
        &self,
        request: Request<RequestEmailVerificationRequest>,
    ) -> Result<Response<RequestEmailVerificationResponse>, Status> {
        let caller = caller(&request)?;
        let Arrived {
            message,
            cause,
            mut violations,
            ..
        } = self.requests.take_in(request);
        let call = self.requests.call(
            Some(caller),
            "RequestEmailVerification",
            &message.request_id,
            &message,
            &mut violations,
        );
        violations.into_result()?;

        self.commands
            .request_email_verification(caller, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(RequestEmailVerificationResponse {}))
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
        let caller = caller(&request)?;
        let Arrived {
            message,
            mut violations,
            ..
        } = self.requests.take_in(request);
        caller.may_name(&message.user_id)?;
        let user_id = violations.uuid("user_id", &message.user_id);
        violations.into_result()?;

        let user = self.commands.get_user(caller, user_id).await?;
        Ok(Response::new(GetUserResponse {
            user: Some(self.shown(&user)),
        }))
    }

    async fn list_users(
        &self,
        request: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        let Arrived {
            message,
            mut violations,
            ..
        } = self.requests.take_in(request);
        let (list, tokens) = ("ListUsers".to_owned(), &self.page_tokens);
        let (size, token) = (message.page_size, &message.page_token);
        let page = Page::read(size, token, list, tokens, &mut violations);
        violations.into_result()?;

        let found = self.commands.list_users(page.before, page.limit()).await?;
        let (users, next_page_token) = page.cut(found, |user| user.id, tokens);
        Ok(Response::new(ListUsersResponse {
            users: users.iter().map(|user| self.shown(user)).collect(),
            next_page_token,
        }))
    }

    async fn update_user(
        &self,
        request: Request<UpdateUserRequest>,
    ) -> Result<Response<UpdateUserResponse>, Status> {
        let caller = caller(&request)?;
        let Arrived {
            message,
            address,
            cause,
            mut violations,
        } = self.requests.take_in(request);
        let request_id = &message.request_id;
        if let Some(user) = &message.user {
            caller.may_name(&user.user_id)?;
        }
        let call = self.requests.call(
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
        let user = self
            .commands
            .update_user(caller, user_id, changes, &address, call, &cause)
            .await?;
        Ok(Response::new(UpdateUserResponse {
            user: Some(self.shown(&user)),
        }))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordRequest>,
    ) -> Result<Response<ChangePasswordResponse>, Status> {
        let caller = caller(&request)?;
        let Arrived {
            message,
            address,
            mut violations,
            ..
        } = self.requests.take_in(request);
        let call = self.requests.call(
            Some(caller),
            "ChangePassword",
            &message.request_id,
            &message,
            &mut violations,
        );
        let current = Attempt::new(message.current_password.into());
        let new = Password::parse(message.new_password.into());
        let new = valid("new_password", new, &mut violations);
        let (true, Some(new)) = (violations.is_empty(), new) else {
            return Err(violations.into_status());
        };

        self.commands
            .change_password(caller, current, new, &address, call.as_ref())
            .await?;
        Ok(Response::new(ChangePasswordResponse {}))
    }

    async fn request_password_reset(
        &self,
        request: Request<RequestPasswordResetRequest>,
    ) -> Result<Response<RequestPasswordResetResponse>, Status> {
        let Arrived {
            message,
            address,
            cause,
            mut violations,
        } = self.requests.take_in(request);
        let call = self.requests.call(
            None,
            "RequestPasswordReset",
            &message.request_id,
            &message,
            &mut violations,
        );
        let email = valid("email", Email::parse(&message.email), &mut violations);
        let (true, Some(email)) = (violations.is_empty(), email) else {
            return Err(violations.into_status());
        };

        self.commands
            .request_password_reset(&email, &address, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(RequestPasswordResetResponse {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let Arrived {
            message,
            address,
            mut violations,
            ..
        } = self.requests.take_in(request);
        let request_id = &message.request_id;
        let call = self
            .requests
            .call(None, "ResetPassword", request_id, &message, &mut violations);
        let code = SecretString::from(message.code);
        let new = Password::parse(message.new_password.into());
        let new = valid("new_password", new, &mut violations);
        let (true, Some(new)) = (violations.is_empty(), new) else {
            return Err(violations.into_status());
        };

        self.commands
            .reset_password(&code, new, &address, call.as_ref())
            .await?;
        Ok(Response::new(ResetPasswordResponse {}))
    }

    async fn delete_user(
        &self,
        request: Request<DeleteUserRequest>,
    ) -> Result<Response<DeleteUserResponse>, Status> {
        let caller = caller(&request)?;
        let Arrived {
            message,
            address,
            cause,
            mut violations,
        } = self.requests.take_in(request);
        caller.may_name(&message.user_id)?;
        let request_id = &message.request_id;
        let call = self.requests.call(
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
        self.commands
            .delete_user(caller, deletion, &address, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(DeleteUserResponse {}))
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
