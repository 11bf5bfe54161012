//! `angarium.user.v1.UserService`: reads a request, calls a command, writes the answer.

use std::fmt::Display;

use contracts::Validate as _;
use contracts::user::v1::user_service_server::UserService;
use contracts::user::v1::{CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse};
use messaging::Cause;
use prost::Message as _;
use runtime::grpc::correlation_id;
use runtime::idempotency::Call;
use runtime::status::Violations;
use secrecy::SecretString;
use tonic::{Request, Response, Status};

use crate::commands::Commands;
use crate::convert;
use crate::password::Password;
use crate::user::{DisplayName, Email};

/// The caller of what needs no caller.
const ANYBODY: &str = "";

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
        let mut request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let password = SecretString::from(std::mem::take(&mut request.password));
        // Without the password by now: no hash but the slow one may be kept of it.
        let content = request.encode_to_vec();
        let call = Call::read(
            ANYBODY,
            "CreateUser",
            &request.request_id,
            &content,
            &mut violations,
        );
        let CreateUserRequest {
            email,
            display_name,
            ..
        } = request;
        let email = valid("email", Email::parse(&email), &mut violations);
        let password = valid("password", Password::parse(password), &mut violations);
        let display_name = valid(
            "display_name",
            DisplayName::parse(&display_name),
            &mut violations,
        );
        let (true, Some(email), Some(password), Some(display_name)) =
            (violations.is_empty(), email, password, display_name)
        else {
            return Err(violations.into_status());
        };

        let user = self
            .commands
            .create_user(email, password, display_name, call.as_ref(), &cause)
            .await?;
        Ok(Response::new(CreateUserResponse {
            user: Some(convert::user(&user)),
        }))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::of(request.violations());
        let user_id = violations.uuid("user_id", &request.user_id);
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
