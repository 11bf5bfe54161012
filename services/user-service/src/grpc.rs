//! `angarium.user.v1.UserService`: reads a request, calls a command, writes the answer.

use std::fmt::Display;

use contracts::user::v1::user_service_server::UserService;
use contracts::user::v1::{CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse};
use messaging::Cause;
use runtime::grpc::correlation_id;
use runtime::status::Violations;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use crate::commands::Commands;
use crate::convert;
use crate::password::Password;
use crate::user::{DisplayName, Email};

pub struct Users {
    commands: Commands,
}

impl Users {
    pub fn new(commands: Commands) -> Self {
        Self { commands }
    }
}

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<CreateUserRequest>,
    ) -> Result<Response<CreateUserResponse>, Status> {
        let cause = Cause {
            correlation_id: correlation_id(&request),
        };
        let CreateUserRequest {
            email,
            password,
            display_name,
        } = request.into_inner();
        let password = SecretString::from(password);
        let mut violations = Violations::new();
        let email = valid("email", Email::parse(&email), &mut violations);
        let password = valid("password", Password::parse(password), &mut violations);
        let display_name = valid(
            "display_name",
            DisplayName::parse(&display_name),
            &mut violations,
        );
        let (Some(email), Some(password), Some(display_name)) = (email, password, display_name)
        else {
            return Err(violations.into_status());
        };

        let user = self
            .commands
            .create_user(email, password, display_name, &cause)
            .await?;
        Ok(Response::new(CreateUserResponse {
            user: Some(convert::user(&user)),
        }))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let mut violations = Violations::new();
        let user_id = violations.uuid("user_id", &request.get_ref().user_id);
        violations.into_result()?;

        let user = self.commands.get_user(user_id).await?;
        Ok(Response::new(GetUserResponse {
            user: Some(convert::user(&user)),
        }))
    }
}

/// What was read; where it cannot be, the reason is in `violations`.
fn valid<T>(field: &str, read: Result<T, impl Display>, violations: &mut Violations) -> Option<T> {
    read.map_err(|invalid| violations.add(field, invalid.to_string()))
        .ok()
}
