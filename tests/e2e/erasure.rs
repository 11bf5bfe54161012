//! Sensitive data is erased with its person. The fields and events come from the descriptors, so a new field that no
//! code erases fails here.

use std::collections::{BTreeMap, BTreeSet};

use contracts::notification::v1::NotificationKind;
use contracts::order::v1::{CancelOrderRequest, ConfirmOrderRequest, ShipOrderRequest};
use contracts::user::v1::{
    AuthenticateRequest, ChangePasswordRequest, CreateUserRequest, DeleteUserRequest,
    RefreshTokenRequest, RequestPasswordResetRequest, ResetPasswordRequest, RevokeTokenRequest,
    Tokens, UpdateUserRequest, User, VerifyEmailRequest,
};
use contracts::{EVENTS, EventInfo, FILE_DESCRIPTOR_SET};
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use rstest::rstest;
use scenarios::Caller;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use store::sql;
use testkit::{Stack, authorized, eventually, eventually_is};
use tonic::Request;
use uuid::Uuid;

use crate::system::{PASSWORD, Running, participants};

const SENSITIVE: &str = "angarium.event.v1.sensitive";

/// Sends every sensitive field of all requests, with unique values, and searches for them in every table.
#[rstest]
#[tokio::test]
async fn after_a_deletion_no_table_has_a_sensitive_value(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let mut said = Said::new();
    let deletion = live(&system, &mut said).await;
    assert_eq!(
        said.fields(),
        sensitive_fields_of_requests(&said.pool),
        "the story lacks a request with a sensitive field, or has one too many"
    );
    let personal = ["email", "display_name", "tracking_number", "reason"];
    for (field, values) in &said.values {
        if personal
            .iter()
            .any(|name| field.ends_with(&format!(".{name}")))
        {
            let kept = found(&system, values).await;
            assert!(!kept.is_empty(), "the search does not find {field}");
        }
    }

    system.users.clone().delete_user(deletion).await.unwrap();
    let values: BTreeSet<String> = said.values.into_values().flatten().collect();
    eventually("nothing sensitive is left", async || {
        let found = found(&system, &values).await;
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await;
    system.stop().await;
}

/// Each event is put into its publisher's history, even if the publisher never emits it.
#[rstest]
#[tokio::test]
async fn every_publisher_erases_the_sensitive_events_of_a_person(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let user_id = system.register("ada@example.com").await;
    // Every service knows the user, so each has a person to delete.
    system.order(&user_id).await;
    system.sent(&user_id, NotificationKind::Welcome).await;
    let mut kept: BTreeMap<&str, usize> = BTreeMap::new();
    for event in EVENTS
        .iter()
        .filter(|event| event.person_id_field.is_some())
    {
        let mut publishers = participants().into_iter();
        let publisher = publishers.find(|one| one.exchanges.contains(&event.exchange));
        let publisher = publisher.unwrap_or_else(|| panic!("no service publishes {event:?}"));
        keep(&system, publisher.service, event, &user_id).await;
        *kept.entry(publisher.service).or_default() += 1;
    }
    assert!(kept.values().sum::<usize>() >= 6, "{kept:?}");

    delete(&system, &user_id).await;
    for service in kept.keys() {
        let left = format!(
            "SELECT event_type FROM angarium_outbox_history WHERE person_id = '{user_id}' AND length(payload) > 0"
        );
        let what = format!("{service} has erased all of them");
        eventually_is(&what, Vec::<String>::new(), async || {
            let rows = system.query(service, &left).await;
            let types = rows.iter().map(|row| row.try_get("", "event_type"));
            types.collect::<Result<_, _>>().unwrap()
        })
        .await;
    }
    system.stop().await;
}

/// Each event is put into the inbox of its consumers, as a dead letter and as one that waits for its predecessor.
#[rstest]
#[tokio::test]
async fn with_a_person_every_consumer_erases_what_it_holds_of_them(
    #[values(Stack::Servers, Stack::Embedded)] stack: Stack,
) {
    let system = Running::start(stack).await;
    let user_id = system.register("ada@example.com").await;
    let other_id = Uuid::now_v7().to_string();
    system.order(&user_id).await;
    system.sent(&user_id, NotificationKind::Welcome).await;
    let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut held = BTreeMap::new();
    for participant in participants() {
        let Some(queue) = participant.topology().queue else {
            continue;
        };
        let is_bound = |event: &&EventInfo| {
            let mut bindings = queue.bindings.iter();
            bindings.any(|one| one.takes(event.exchange, event.routing_key))
        };
        let personal_events = EVENTS.iter().filter(|one| one.person_id_field.is_some());
        for event in personal_events.filter(is_bound) {
            let consumer = (participant.service, queue.name.clone());
            for person_id in [&user_id, &other_id] {
                let body = personal(&pool, event, person_id);
                for state in ["dead", "waiting"] {
                    hold(&system, &consumer, event, state, &body).await;
                }
            }
            held.insert(participant.service, (consumer, event));
        }
    }
    assert!(held.len() >= 2, "{held:?}");

    delete(&system, &user_id).await;
    for (service, (consumer, event)) in held {
        let db = system.database(service).await;
        let left = async |person_id: &str| {
            let row = row_as_text(&db, "angarium_inbox").await;
            let held = holds(&db, &row, &format!("{SECRET} of {person_id}"));
            texts(
                &db,
                &format!("SELECT event_type FROM angarium_inbox WHERE {held}"),
            )
            .await
        };
        let none = Vec::<String>::new;
        let what = format!("{service} has erased all of them");
        eventually_is(&what, none(), async || left(&user_id).await).await;
        let kept = left(&other_id).await;
        assert!(
            !kept.is_empty(),
            "{service} has erased those of another user"
        );
        let decided = "SELECT DISTINCT actor FROM angarium_dead_letter_decision";
        assert_eq!(texts(&db, decided).await, ["erasure"], "{service}");
        // An event that becomes a dead letter after the deletion.
        let body = personal(&pool, event, &user_id);
        hold(&system, &consumer, event, "dead", &body).await;
        let what = format!("{service} has erased the late one");
        eventually_is(&what, none(), async || left(&user_id).await).await;
    }
    system.stop().await;
}

/// Deletes the account of the user, who registered as Ada.
async fn delete(system: &Running, user_id: &str) {
    let request = DeleteUserRequest {
        user_id: user_id.to_owned(),
        current_password: PASSWORD.to_owned(),
        ..DeleteUserRequest::default()
    };
    let session = system.caller().log_in("ada@example.com", PASSWORD).await;
    let request = authorized(&session.unwrap().access_token, request);
    system.users.clone().delete_user(request).await.unwrap();
}

const SECRET: &str = "zyzzyva-secret";

/// An event with a secret in each of its sensitive fields.
fn personal(pool: &DescriptorPool, event: &EventInfo, person_id: &str) -> Vec<u8> {
    let descriptor = pool.get_message_by_name(event.type_name).unwrap();
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor
        .fields()
        .filter(|field| is_sensitive(pool, field))
    {
        let secret = format!("{SECRET} of {person_id}");
        let value = match field.kind() {
            Kind::Bytes => prost_reflect::Value::Bytes(secret.into()),
            _ => prost_reflect::Value::String(secret),
        };
        message.set_field(&field, value);
    }
    let person_field = event.person_id_field.unwrap();
    let person = prost_reflect::Value::String(person_id.to_owned());
    message.set_field_by_name(person_field, person);
    message.encode_to_vec()
}

/// As a consumer holds an event, of a new aggregate.
async fn hold(
    system: &Running,
    (service, queue): &(&str, String),
    event: &EventInfo,
    state: &str,
    body: &[u8],
) {
    let holding = "INSERT INTO angarium_inbox
        (consumer, event_id, state, event_type, aggregate_type, aggregate_id, aggregate_version, exchange, routing_key, properties,
         body, received_at)
        VALUES ($1, {uuid $2}, $3, $4, $5, $6, 2, $7, $8, '{\"headers\": {}}', $9, {time})";
    let values = [
        queue.as_str().into(),
        Uuid::now_v7().to_string().into(),
        state.into(),
        event.type_name.into(),
        event.aggregate.into(),
        Uuid::now_v7().to_string().into(),
        event.exchange.into(),
        event.routing_key.into(),
        body.to_vec().into(),
    ];
    let db = system.database(service).await;
    sql::execute(&db, holding, values).await.unwrap();
}

/// As the relay leaves a published event.
async fn keep(system: &Running, service: &str, event: &EventInfo, person_id: &str) {
    let keeping = "INSERT INTO angarium_outbox_history
        (sequence, event_id, exchange, routing_key, may_be_unrouted, event_type, aggregate_type, aggregate_id,
         aggregate_version, payload, person_id, correlation_id, created_at, published_at)
        VALUES (0, {uuid $1}, $2, $3, false, $4, $5, $6, 1, $7, $8, 'call-1', {time}, {time})";
    let values = [
        Uuid::now_v7().to_string().into(),
        event.exchange.into(),
        event.routing_key.into(),
        event.type_name.into(),
        event.aggregate.into(),
        // A new aggregate, so the version is free.
        Uuid::now_v7().to_string().into(),
        b"personal".to_vec().into(),
        person_id.into(),
    ];
    let db = system.database(service).await;
    sql::execute(&db, keeping, values).await.unwrap();
}

/// The sensitive values of all requests, by the full names of their fields.
struct Said {
    pool: DescriptorPool,
    values: BTreeMap<String, BTreeSet<String>>,
}

impl Said {
    fn new() -> Self {
        Self {
            pool: DescriptorPool::decode(FILE_DESCRIPTOR_SET).unwrap(),
            values: BTreeMap::new(),
        }
    }

    /// Records the sensitive values of the request.
    fn note<R: Message + Name>(&mut self, request: R) -> R {
        let descriptor = self.pool.get_message_by_name(&R::full_name()).unwrap();
        let bytes = request.encode_to_vec();
        let message = DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
        self.gather(&message);
        request
    }

    fn gather(&mut self, message: &DynamicMessage) {
        for (field, value) in message.fields() {
            if let Some(inner) = value.as_message() {
                self.gather(inner);
            } else if is_sensitive(&self.pool, &field) {
                let value = value.as_str().unwrap().to_owned();
                let values = self.values.entry(field.full_name().to_owned());
                values.or_default().insert(value);
            }
        }
    }

    fn fields(&self) -> BTreeSet<String> {
        self.values.keys().cloned().collect()
    }
}

fn is_sensitive(pool: &DescriptorPool, field: &FieldDescriptor) -> bool {
    let option = pool.get_extension_by_name(SENSITIVE).unwrap();
    field.options().get_extension(&option).as_bool() == Some(true)
}

fn sensitive_fields_of_requests(pool: &DescriptorPool) -> BTreeSet<String> {
    // Operators hand over events, which are not a user's requests.
    let services = pool.services();
    let services = services.filter(|service| service.package_name() != "angarium.ops.v1");
    let methods = services.flat_map(|service| {
        let methods: Vec<_> = service.methods().collect();
        methods
    });
    let mut messages: Vec<MessageDescriptor> = methods.map(|method| method.input()).collect();
    let (mut seen, mut sensitive) = (BTreeSet::new(), BTreeSet::new());
    while let Some(message) = messages.pop() {
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        for field in message.fields() {
            if let Kind::Message(inner) = field.kind() {
                messages.push(inner);
            } else if is_sensitive(pool, &field) {
                sensitive.insert(field.full_name().to_owned());
            }
        }
    }
    sensitive
}

const EMAIL: &str = "zyzzyva@example.com";
const MOVED: &str = "moved.syzygy@example.org";
const PASSWORDS: [&str; 3] = [
    "quetzal-7-vermilion",
    "quetzal-9-cerulean",
    "quetzal-10-magenta",
];

/// One account from registration to orders in every state, with all data that a user can send. Returns the call that
/// deletes it.
async fn live(system: &Running, said: &mut Said) -> Request<DeleteUserRequest> {
    let (mut users, caller) = (system.users.clone(), system.caller());
    let request = said.note(CreateUserRequest {
        email: EMAIL.to_owned(),
        password: PASSWORDS[0].to_owned(),
        display_name: "Xanthippe".to_owned(),
        request_id: request_id(),
    });
    let answer = users.create_user(request).await.unwrap().into_inner();
    let user_id = answer.user.unwrap().user_id;
    let first = verify(system, &caller, said, EMAIL, &[]).await;

    let tokens = log_in(system, said).await;
    let request = said.note(RevokeTokenRequest {
        refresh_token: tokens.refresh_token,
    });
    users.revoke_token(request).await.unwrap();
    let tokens = log_in(system, said).await;
    let request = said.note(RefreshTokenRequest {
        refresh_token: tokens.refresh_token,
    });
    users.refresh_token(request).await.unwrap();

    let token = system.token(&user_id);
    let request = said.note(ChangePasswordRequest {
        current_password: PASSWORDS[0].to_owned(),
        new_password: PASSWORDS[1].to_owned(),
        request_id: request_id(),
    });
    let request = authorized(&token, request);
    users.change_password(request).await.unwrap();
    let request = said.note(UpdateUserRequest {
        user: Some(User {
            user_id: user_id.clone(),
            email: MOVED.to_owned(),
            display_name: "Calliope".to_owned(),
            ..User::default()
        }),
        current_password: PASSWORDS[1].to_owned(),
        request_id: request_id(),
        ..UpdateUserRequest::default()
    });
    users
        .update_user(authorized(&token, request))
        .await
        .unwrap();
    let second = verify(system, &caller, said, MOVED, &[&first]).await;
    let request = said.note(RequestPasswordResetRequest {
        email: MOVED.to_owned(),
        request_id: request_id(),
    });
    users.request_password_reset(request).await.unwrap();
    let third = next_code(&caller, MOVED, &[&first, &second]).await;
    let request = said.note(AuthenticateRequest {
        email: MOVED.to_owned(),
        password: PASSWORDS[1].to_owned(),
        code: third.clone(),
    });
    users.authenticate(request).await.unwrap();
    let request = said.note(RequestPasswordResetRequest {
        email: MOVED.to_owned(),
        request_id: request_id(),
    });
    users.request_password_reset(request).await.unwrap();
    let code = next_code(&caller, MOVED, &[&first, &second, &third]).await;
    let request = said.note(ResetPasswordRequest {
        code,
        new_password: PASSWORDS[2].to_owned(),
        request_id: request_id(),
    });
    users.reset_password(request).await.unwrap();
    order(system, said, &user_id).await;
    let session = caller.log_in(MOVED, PASSWORDS[2]).await.unwrap();
    let request = said.note(DeleteUserRequest {
        user_id,
        current_password: PASSWORDS[2].to_owned(),
        request_id: request_id(),
        ..DeleteUserRequest::default()
    });
    authorized(&session.access_token, request)
}

/// One order stays open, one is cancelled and one is shipped; their mails are sent.
async fn order(system: &Running, said: &mut Said, user_id: &str) {
    let mut orders = system.orders.clone();
    system.order(user_id).await;
    let cancelled = system.order(user_id).await.order_id;
    let request = said.note(CancelOrderRequest {
        order_id: cancelled,
        reason: "my neighbour Polyhymnia has one".to_owned(),
        request_id: request_id(),
        ..CancelOrderRequest::default()
    });
    let request = authorized(&system.token(user_id), request);
    orders.cancel_order(request).await.unwrap();
    let shipped = system.order(user_id).await.order_id;
    let request = ConfirmOrderRequest {
        order_id: shipped.clone(),
        ..ConfirmOrderRequest::default()
    };
    let request = authorized(&system.tokens.admin(), request);
    orders.confirm_order(request).await.unwrap();
    let request = said.note(ShipOrderRequest {
        order_id: shipped,
        carrier: "Royal Road".to_owned(),
        tracking_number: "ECBATANA-4711".to_owned(),
        request_id: request_id(),
        ..ShipOrderRequest::default()
    });
    let request = authorized(&system.tokens.admin(), request);
    orders.ship_order(request).await.unwrap();
    for kind in [
        NotificationKind::OrderCancelled,
        NotificationKind::OrderShipped,
    ] {
        system.sent(user_id, kind).await;
    }
}

async fn log_in(system: &Running, said: &mut Said) -> Tokens {
    let request = said.note(AuthenticateRequest {
        email: EMAIL.to_owned(),
        password: PASSWORDS[0].to_owned(),
        ..AuthenticateRequest::default()
    });
    let answer = system.users.clone().authenticate(request).await.unwrap();
    answer.into_inner().tokens.unwrap()
}

/// Verifies the address with the code from the mail, and returns the code.
async fn verify(
    system: &Running,
    caller: &Caller,
    said: &mut Said,
    email: &str,
    known: &[&String],
) -> String {
    let code = next_code(caller, email, known).await;
    let request = said.note(VerifyEmailRequest {
        code: code.clone(),
        request_id: request_id(),
    });
    system.users.clone().verify_email(request).await.unwrap();
    code
}

async fn next_code(caller: &Caller, email: &str, known: &[&String]) -> String {
    let known = known.iter().map(|code| (*code).clone()).collect();
    caller.mailbox.next_code(email, &known).await.unwrap()
}

fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// The places of these values in all tables of all services.
async fn found(system: &Running, values: &BTreeSet<String>) -> Vec<String> {
    let mut places = Vec::new();
    for participant in participants() {
        let db = system.database(participant.service).await;
        for table in tables(&db).await {
            let row = row_as_text(&db, &table).await;
            let held = |value: &String| format!("{} THEN '{value}'", holds(&db, &row, value));
            let cases: Vec<String> = values.iter().map(held).collect();
            let held = format!(
                "SELECT DISTINCT held FROM (SELECT CASE WHEN {} END AS held FROM {table}) AS looked WHERE held IS NOT NULL",
                cases.join(" WHEN ")
            );
            for value in texts(&db, &held).await {
                places.push(format!("{}: {table}: {value}", participant.service));
            }
        }
    }
    places
}

async fn tables(db: &store::Database) -> Vec<String> {
    let tables = match db.get_database_backend() {
        DbBackend::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        }
        _ => {
            "SELECT table_name::text FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
        }
    };
    let tables = texts(db, tables).await;
    assert!(tables.len() > 8, "{tables:?}");
    tables
}

/// An expression for all columns of a row.
async fn row_as_text(db: &store::Database, table: &str) -> String {
    if db.get_database_backend() != DbBackend::Sqlite {
        return format!("{table}::text");
    }
    let columns = texts(
        db,
        &format!("SELECT name FROM pragma_table_info('{table}')"),
    )
    .await;
    let columns = columns
        .iter()
        .map(|name| format!("hex(coalesce(\"{name}\", ''))"));
    columns.collect::<Vec<_>>().join(" || ' ' || ")
}

/// PostgreSQL shows bytes in hexadecimal and text as text; SQLite's `hex` shows both in hexadecimal.
fn holds(db: &store::Database, row: &str, value: &str) -> String {
    let bytes = value.bytes();
    if db.get_database_backend() == DbBackend::Sqlite {
        let hex: String = bytes.map(|byte| format!("{byte:02X}")).collect();
        return format!("instr({row}, '{hex}') > 0");
    }
    let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    format!("(position('{value}' in {row}) > 0 OR position('{hex}' in {row}) > 0)")
}

/// The first column of all rows.
async fn texts(db: &store::Database, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    let texts = rows.iter().map(|row| row.try_get_by_index(0));
    texts.collect::<Result<_, _>>().unwrap()
}
