//! Every kind has its row, its templates and the same facts in both forms. The pages are left in `target/tmp/mails` for
//! a browser.

use std::collections::BTreeSet;
use std::path::Path;

use contracts::money::Money;
use contracts::notification::v1::Preferences;
use contracts::order::v1::{OrderCancelled, OrderConfirmed, OrderLine, OrderPlaced, OrderShipped};
use contracts::user::v1::{
    EmailVerificationRequested, PasswordResetRequested, SessionStartedAtNewPlace, UserCreated,
    UserDeleted, UserPasswordChanged, UserRole, UserRoleChanged, UserUpdated,
};
use notification_service::kinds::{Kind, MailEvent};
use notification_service::templates::{CODE, Content};
use prost_types::Timestamp;

use crate::mails::shown;

const NAME: &str = "Ada Lovelace";

/// About an event with `value` in all its fields, with the facts that the mail gives.
fn sample(kind: Kind, name: &str, value: &str) -> (Content, Vec<String>) {
    let eur = |units, nanos| Money {
        currency_code: "EUR".to_owned(),
        units,
        nanos,
    };
    let line = |sku: &str, quantity, price| OrderLine {
        sku: format!("{value}{sku}"),
        quantity,
        unit_price: Some(price),
    };
    let (order_id, user_id) = (format!("{value}order-7"), "user-7".to_owned());
    let (content, facts) = match kind {
        Kind::Welcome => (UserCreated::default().content(name), vec![]),
        Kind::EmailVerification => (
            EmailVerificationRequested::default().content(name),
            vec![CODE],
        ),
        Kind::PasswordReset => (PasswordResetRequested::default().content(name), vec![CODE]),
        Kind::OrderPlaced => {
            let order = OrderPlaced {
                order_id,
                user_id,
                lines: vec![
                    line("TEA-EARL-GREY-LOOSE-LEAF-250G", 2, eur(4, 500_000_000)),
                    line("CUP-BLUE", 12, eur(1_300, 990_000_000)),
                ],
                total_price: Some(eur(15_620, 880_000_000)),
                create_time: None,
            };
            let facts = vec![
                "order-7",
                "2 x",
                "TEA-EARL-GREY-LOOSE-LEAF-250G at 4.50 EUR",
                "12 x",
                "CUP-BLUE at 1300.99 EUR",
                "Total: 15620.88 EUR",
            ];
            (order.content(name), facts)
        }
        Kind::OrderConfirmed => {
            let order = OrderConfirmed {
                order_id,
                user_id,
                confirm_time: None,
            };
            (order.content(name), vec!["order-7"])
        }
        Kind::OrderShipped => {
            let order = OrderShipped {
                order_id,
                user_id,
                carrier: format!("{value}Royal Mail"),
                tracking_number: format!("{value}RM 123"),
                ship_time: None,
            };
            let facts = vec![
                "order-7",
                "Carrier:",
                "Royal Mail",
                "Tracking number:",
                "RM 123",
            ];
            (order.content(name), facts)
        }
        Kind::OrderCancelled => {
            let order = OrderCancelled {
                order_id,
                user_id,
                reason: format!("{value}the cup was the wrong blue"),
                cancel_time: None,
            };
            let facts = vec!["order-7", "Reason:", "the cup was the wrong blue"];
            (order.content(name), facts)
        }
        Kind::AccountDeleted => (UserDeleted::default().content(name), vec![]),
        Kind::PasswordChanged => (UserPasswordChanged::default().content(name), vec![]),
        Kind::EmailChanged => (UserUpdated::default().content(name), vec![]),
        Kind::RoleChanged => {
            let change = UserRoleChanged {
                user_id,
                role: UserRole::Operator.into(),
                previous_role: UserRole::User.into(),
                change_time: None,
            };
            (
                change.content(name),
                vec!["Role:", "operator", "Before:", "user"],
            )
        }
        Kind::NewPlace => {
            let session = SessionStartedAtNewPlace {
                session_id: "session-7".to_owned(),
                user_id,
                client_network: format!("{value}203.0.113.0/24"),
                start_time: Some(Timestamp {
                    seconds: 1_800_000_000,
                    nanos: 0,
                }),
            };
            let facts = vec![
                "Network:",
                "203.0.113.0/24",
                "Time:",
                "2027-01-15 08:00:00 UTC",
            ];
            (session.content(name), facts)
        }
    };
    let facts = facts.into_iter().map(str::to_owned);
    (content.unwrap(), facts.collect())
}

/// Of an event with no field set: an older event.
fn bare(kind: Kind) -> Content {
    let content = match kind {
        Kind::OrderPlaced => OrderPlaced::default().content(""),
        Kind::OrderConfirmed => OrderConfirmed::default().content(""),
        Kind::OrderShipped => OrderShipped::default().content(""),
        Kind::OrderCancelled => OrderCancelled::default().content(""),
        Kind::RoleChanged => UserRoleChanged::default().content(""),
        Kind::NewPlace => SessionStartedAtNewPlace::default().content(""),
        // Their templates show no field of the event.
        Kind::Welcome
        | Kind::EmailVerification
        | Kind::PasswordReset
        | Kind::AccountDeleted
        | Kind::PasswordChanged
        | Kind::EmailChanged => Ok(sample(kind, "", "").0),
    };
    content.unwrap()
}

/// Without what marks a list.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace()
        .filter(|word| *word != "-")
        .collect()
}

#[test]
fn each_mail_gives_its_facts_in_text_and_in_html() {
    for kind in Kind::all() {
        let (content, facts) = sample(kind, NAME, "");
        assert_eq!(content.subject, kind.row().subject);
        for form in [content.text.clone(), shown(&content.html)] {
            assert!(form.starts_with("Hello Ada Lovelace,"), "{kind:?}: {form}");
            for fact in &facts {
                assert!(form.contains(fact), "{kind:?} lacks {fact}: {form}");
            }
        }
        assert!(
            content
                .html
                .contains(&format!("<title>{}</title>", content.subject))
        );
        let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mails");
        std::fs::create_dir_all(&page).unwrap();
        let html = content.html.replace(CODE, "7ZK4M-00000-ABCDE-FGHJK-12345");
        std::fs::write(page.join(format!("{}.html", kind.name())), html).unwrap();
    }
}

#[test]
fn text_and_html_have_the_same_words() {
    let hostile = "<b>&amp;</b>\r\n\u{2028}";
    for kind in Kind::all() {
        for content in [
            sample(kind, NAME, "").0,
            sample(kind, &NAME.repeat(400), &"long".repeat(999)).0,
            sample(kind, hostile, hostile).0,
            bare(kind),
        ] {
            assert_eq!(
                words(&content.text),
                words(&shown(&content.html)),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn a_value_is_neither_markup_nor_a_line_of_its_own() {
    let hostile = "<img src=x onerror='alert(1)'>\r\n\r\nBcc: eve@example.com\u{202E} & \"pay\" ";
    for kind in Kind::all() {
        let (plain, _) = sample(kind, NAME, "");
        let (content, facts) = sample(kind, hostile, hostile);
        assert!(content.text.starts_with("Hello <img src=x"), "{kind:?}");
        assert_eq!(content.text.lines().count(), plain.text.lines().count());
        assert_eq!(content.html.lines().count(), plain.html.lines().count());
        assert_eq!(
            content.html.matches('<').count(),
            plain.html.matches('<').count()
        );
        assert_eq!(
            content.html.matches('"').count(),
            plain.html.matches('"').count()
        );
        for form in [&content.text, &content.html] {
            let control = |c: &char| c.is_control() && *c != '\n' && !CODE.contains(*c);
            assert_eq!(form.chars().find(control), None, "{kind:?}");
            assert!(!form.contains('\u{202E}'), "{kind:?}");
        }
        for fact in facts {
            assert!(content.text.contains(&fact), "{kind:?} lacks {fact}");
        }
    }
}

#[test]
fn a_fact_without_a_value_is_left_out() {
    for kind in Kind::all() {
        let content = bare(kind);
        assert!(content.text.starts_with("Hello,\n\n"), "{kind:?}");
        for label in [
            "Carrier",
            "Tracking number",
            "Reason",
            "Total",
            "Role",
            "Before",
            "Network",
            "Time",
        ] {
            assert!(!content.text.contains(label), "{kind:?}: {}", content.text);
        }
    }
    let shipped = OrderShipped {
        carrier: "\u{202E}\r\n".to_owned(),
        tracking_number: "RM\r\n 1".to_owned(),
        ..OrderShipped::default()
    };
    let text = shipped.content("Ada").unwrap().text;
    assert!(!text.contains("Carrier"), "{text}");
    assert!(text.contains("\n\nTracking number: RM 1\n"), "{text}");
}

#[test]
fn only_the_mail_of_a_code_has_one_place_for_it() {
    for kind in Kind::all() {
        let places = usize::from(kind.row().code.is_some());
        let (content, _) = sample(kind, &format!("Ada {CODE}"), CODE);
        for form in [&content.text, &content.html] {
            assert_eq!(form.matches(CODE).count(), places, "{kind:?}");
        }
    }
}

#[test]
fn the_plain_text_of_an_order_is_as_expected() {
    let (content, _) = sample(Kind::OrderPlaced, NAME, "");
    let expected = "\
Hello Ada Lovelace,

Thank you for your order order-7:

- 2 x TEA-EARL-GREY-LOOSE-LEAF-250G at 4.50 EUR
- 12 x CUP-BLUE at 1300.99 EUR

Total: 15620.88 EUR

Angarium";
    assert_eq!(content.text, expected);
}

#[test]
fn a_row_names_its_proto_and_its_preference_alike() {
    for kind in Kind::all() {
        let row = kind.row();
        let proto = format!("NOTIFICATION_KIND_{}", row.name.to_uppercase());
        assert_eq!(row.proto.as_str_name(), proto);
        let Some(choice) = row.refusable else {
            continue;
        };
        assert_eq!(choice.field, format!("{}_mails", row.name));
    }
}

/// Rows of earlier releases have these names.
#[test]
fn a_name_in_the_database_never_changes() {
    let names: BTreeSet<&str> = Kind::all().map(Kind::name).collect();
    assert_eq!(names.len(), Kind::all().count());
    for name in [
        "welcome",
        "email_verification",
        "password_reset",
        "order_placed",
        "order_confirmed",
        "order_shipped",
        "order_cancelled",
        "account_deleted",
        "password_changed",
        "email_changed",
        "role_changed",
        "new_place",
    ] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn each_preference_of_the_contract_belongs_to_one_row() {
    let mut preferences = Preferences::default();
    for (_, choice) in Kind::refusable() {
        let value = (choice.value)(&mut preferences);
        assert_eq!(value.replace(true), None, "{}", choice.field);
    }
    // All fields: a new one does not compile without a row.
    let expected = Preferences {
        user_id: String::new(),
        order_placed_mails: Some(true),
        order_confirmed_mails: Some(true),
        order_shipped_mails: Some(true),
        order_cancelled_mails: Some(true),
        etag: String::new(),
        update_time: None,
    };
    assert_eq!(preferences, expected);
}

#[test]
fn each_kind_has_two_templates_and_no_other_file_is_there() {
    let names = Kind::all().map(Kind::name).chain(["layout", "parts"]);
    let expected = names.flat_map(|name| [format!("{name}.txt"), format!("{name}.html")]);
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut there = BTreeSet::new();
    for file in std::fs::read_dir(templates).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let unescaped = text.replace("{{ CODE|safe }}", "");
        let name = file.file_name().into_string().unwrap();
        assert!(!unescaped.contains("safe"), "{name}: only the code is safe");
        assert!(!unescaped.contains("escape"), "{name}");
        there.insert(name);
    }
    assert_eq!(there, expected.collect());
}
