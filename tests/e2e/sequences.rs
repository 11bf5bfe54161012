//! Sequences of calls by a stranger and the three roles, with arbitrary content in every field of every method.
//!
//! Guarantees: no answer is a mistake of ours, none shows what belongs to a user who did not call, nothing of that user
//! changes unless an admin called, and the process goes on serving. `PROPTEST_CASES=100000` makes the run longer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use contracts::FILE_DESCRIPTOR_SET;
use contracts::order::v1::{GetOrderRequest, Order, OrderLine, PlaceOrderRequest};
use contracts::user::v1::{CreateUserRequest, GetUserRequest, User};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use rstest::rstest;
use testkit::{Stack, any_port, authorized, call_with_bytes};
use tokio::runtime::Runtime;
use tonic::{Code, Request};

use crate::system::{PASSWORD, Running, line};

mod requests;

use requests::{Known, Words};

/// Proptest's own number. A quarter of them may miss a mistake in one method.
const CASES: u32 = 256;
/// So many methods answer OK at least once in these cases.
const LEAST_METHODS: usize = 12;
/// In the name, the address and the orders of the user who does not call.
const MARK: &str = "zyzzyva";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Stranger,
    User,
    Admin,
    Operator,
}

/// One call: its caller, its method, and the bytes from which its content is made.
type Step = (Role, Index, Vec<u8>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let role = prop_oneof![
        1 => Just(Role::Stranger),
        3 => Just(Role::User),
        1 => Just(Role::Admin),
        1 => Just(Role::Operator),
    ];
    // Small bytes choose what is valid.
    let content = vec(prop_oneof![5 => 0..5_u8, 1 => any::<u8>()], 0..48);
    vec((role, any::<Index>(), content), 1..12)
}

#[rstest]
fn no_sequence_of_calls_breaks_or_shows_what_is_of_others(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let runtime = Runtime::new().unwrap();
    let mut scene = runtime.block_on(Scene::new(stack));
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let cases = config.cases;
    let playing = RefCell::new(&mut scene);
    TestRunner::new(config)
        .run(&steps(), |steps| {
            let mut scene = playing.borrow_mut();
            runtime.block_on(scene.play(&steps))
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    let answered = scene.codes.keys().filter(|(_, code)| *code == 0).count();
    assert!(
        cases < CASES || answered >= LEAST_METHODS,
        "only {answered} methods had a successful call: {:?}",
        scene.codes
    );
    runtime.block_on(scene.system.stop());
}

struct Scene {
    system: Running,
    methods: Vec<MethodDescriptor>,
    known: Known,
    /// The user who does not call, and one of the orders.
    victim: User,
    order: Order,
    user_id: String,
    tokens: [String; 4],
    /// How often each method had each code.
    codes: BTreeMap<(String, i32), u32>,
    calls: u32,
}

impl Scene {
    async fn new(stack: Stack) -> Self {
        let mut grpc = any_port();
        // Each call names an address of its own, so that no limit of an address hides an answer.
        grpc.callers.address_header = Some("x-forwarded-for".to_owned());
        let system = Running::start_with(stack, grpc).await;
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
        let services = pool.services();
        let ours = services.filter(|service| service.package_name().starts_with("angarium."));
        let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
        let methods = methods.collect();
        let victim = register(&system, &format!("{MARK}@example.com")).await;
        let user_id = register(&system, "mallory@example.com").await.user_id;
        let order = place(&system, &victim.user_id).await;
        let token = log_in(&system, "mallory@example.com").await;
        let tokens = [
            String::new(),
            token,
            system.tokens.admin(),
            system.tokens.operator(),
        ];
        let known = Known::new(&[&user_id, &victim.user_id], &order.order_id);
        Self {
            system,
            methods,
            known,
            victim,
            order,
            user_id,
            tokens,
            codes: BTreeMap::new(),
            calls: 0,
        }
    }

    async fn play(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        let mut was_admin = false;
        for (role, method, content) in steps {
            was_admin |= *role == Role::Admin;
            let method = method.get(&self.methods).clone();
            self.call(*role, &method, content).await?;
        }
        let (victim, order) = self.look().await?;
        if !was_admin {
            prop_assert_eq!(&victim, &self.victim);
            prop_assert_eq!(&order, &self.order);
        }
        (self.victim, self.order) = (victim, order);
        Ok(())
    }

    async fn call(
        &mut self,
        role: Role,
        method: &MethodDescriptor,
        content: &[u8],
    ) -> Result<(), TestCaseError> {
        let message = self
            .known
            .message(&method.input(), &mut Words::new(content));
        let mut request = Request::new(Bytes::from(prost::Message::encode_to_vec(&message)));
        let token = &self.tokens[role as usize];
        if !token.is_empty() {
            request = authorized(token, request.into_inner());
        }
        self.calls += 1;
        let address = format!("10.{}.{}.7", self.calls / 256 % 256, self.calls % 256);
        let metadata = request.metadata_mut();
        metadata.insert("x-forwarded-for", address.parse().unwrap());
        if method.is_server_streaming() {
            request.set_timeout(Duration::from_millis(200));
        }
        let service = method.parent_service().full_name();
        let path = format!("{service}/{}", method.name());
        // Every service answers the operators' methods.
        let host = match service {
            "angarium.ops.v1.OpsService" => "angarium.order.v1.OrderService",
            other => other,
        };
        let answer = call_with_bytes(self.system.channel(host), &path, request).await;
        let code = answer
            .as_ref()
            .map_or_else(tonic::Status::code, |_| Code::Ok);
        let shown = match &answer {
            Ok(bytes) => bytes.to_vec(),
            Err(status) => [status.message().as_bytes(), status.details()].concat(),
        };
        *self.codes.entry((path.clone(), code as i32)).or_default() += 1;
        let is_ours = match code {
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Unimplemented => true,
            Code::Unavailable => true,
            Code::DeadlineExceeded => !method.is_server_streaming(),
            _ => false,
        };
        prop_assert!(!is_ours, "{path} by {role:?}: {answer:?} to {message:?}");
        let may_see = role == Role::Admin || (role == Role::Operator && path.contains(".ops."));
        let is_shown = shown
            .windows(MARK.len())
            .any(|window| window == MARK.as_bytes());
        prop_assert!(may_see || !is_shown, "{path} shows it to {role:?}");
        if let Ok(bytes) = answer {
            self.known.learn(&method.output(), &bytes);
            if path.ends_with("/DeleteUser") {
                self.replace_user().await;
            }
        }
        Ok(())
    }

    /// The user and the order, as their owner sees them.
    async fn look(&self) -> Result<(User, Order), TestCaseError> {
        let token = self.system.token(&self.victim.user_id);
        let request = GetUserRequest {
            user_id: self.victim.user_id.clone(),
        };
        let (mut users, mut orders) = (self.system.users.clone(), self.system.orders.clone());
        let user = users.get_user(authorized(&token, request)).await;
        let request = GetOrderRequest {
            order_id: self.order.order_id.clone(),
        };
        let order = orders.get_order(authorized(&token, request)).await;
        let failed = |status: tonic::Status| TestCaseError::fail(format!("{status:?}"));
        Ok((
            user.map_err(failed)?.into_inner().user.unwrap(),
            order.map_err(failed)?.into_inner().order.unwrap(),
        ))
    }

    /// After the calling user was deleted.
    async fn replace_user(&mut self) {
        let email = format!("mallory-{}@example.com", self.calls);
        self.user_id = register(&self.system, &email).await.user_id;
        self.tokens[Role::User as usize] = log_in(&self.system, &email).await;
        self.known.replace_user(&self.user_id);
    }
}

async fn register(system: &Running, email: &str) -> User {
    let request = CreateUserRequest {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        display_name: email.split('@').next().unwrap().to_owned(),
        ..CreateUserRequest::default()
    };
    let answer = system.users.clone().create_user(request).await.unwrap();
    answer.into_inner().user.unwrap()
}

/// A token that all services accept: its key has arrived.
async fn log_in(system: &Running, email: &str) -> String {
    let caller = system.caller();
    let token = caller.log_in(email, PASSWORD).await.unwrap().access_token;
    testkit::eventually("the key is known", async || {
        caller.orders_of(&token).await?;
        caller.notifications_of(&token).await
    })
    .await;
    token
}

async fn place(system: &Running, user_id: &str) -> Order {
    let request = PlaceOrderRequest {
        user_id: user_id.to_owned(),
        lines: vec![OrderLine {
            sku: MARK.to_uppercase(),
            ..line()
        }],
        ..PlaceOrderRequest::default()
    };
    testkit::eventually("the order is placed", async || {
        let request = authorized(&system.token(user_id), request.clone());
        let answer = system.orders.clone().place_order(request).await?;
        Ok::<_, tonic::Status>(answer.into_inner().order.unwrap())
    })
    .await
}
