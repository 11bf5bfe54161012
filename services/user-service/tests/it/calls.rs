//! The calls of the user service that need no token.

use contracts::user::v1::user_service_client::UserServiceClient;
use contracts::user::v1::{
    AuthenticateRequest, AuthenticateResponse, CreateUserRequest, RefreshTokenRequest,
    Tokens as SessionTokens, User, VerifyEmailRequest,
};
use testbench::correlated;
use testkit::eventually;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::fixture::Fixture;

impl Fixture {
    pub(crate) fn client(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel())
    }

    pub(crate) async fn create(&self, request: CreateUserRequest) -> Result<User, Status> {
        let answer = self.client().create_user(request).await?;
        Ok(answer.into_inner().user.unwrap())
    }

    /// As [`create`](Self::create), but repeats refused calls as a client would: a machine under load may refuse them.
    pub(crate) async fn create_with_patience(
        &self,
        request: &CreateUserRequest,
    ) -> Result<User, Status> {
        eventually("the call is not turned away", async || {
            match self.create(request.clone()).await {
                Err(status) if status.code() == Code::Unavailable => Err(status),
                answer => Ok(answer),
            }
        })
        .await
    }

    /// As [`create`](Self::create), with this correlation id.
    pub(crate) async fn create_as(&self, correlation_id: &str, request: CreateUserRequest) -> User {
        let request = correlated(correlation_id, Request::new(request));
        let answer = self.client().create_user(request).await.unwrap();
        answer.into_inner().user.unwrap()
    }

    pub(crate) async fn log_in(
        &self,
        email: &str,
        password: &str,
    ) -> Result<AuthenticateResponse, Status> {
        let request = AuthenticateRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            ..AuthenticateRequest::default()
        };
        Ok(self.client().authenticate(request).await?.into_inner())
    }

    /// Exchanges the refresh token of a session.
    pub(crate) async fn refresh(
        &self,
        session: &AuthenticateResponse,
    ) -> Result<SessionTokens, Status> {
        let request = RefreshTokenRequest {
            refresh_token: session.tokens.as_ref().unwrap().refresh_token.clone(),
        };
        let answer = self.client().refresh_token(request).await?;
        Ok(answer.into_inner().tokens.unwrap())
    }

    /// Verifies the address of this user with the code from the mail.
    pub(crate) async fn verify(&self, user_id: &str) -> User {
        let request = VerifyEmailRequest {
            code: self.verification_code(user_id).await,
            ..VerifyEmailRequest::default()
        };
        let answer = self.client().verify_email(request).await.unwrap();
        answer.into_inner().user.unwrap()
    }
}
