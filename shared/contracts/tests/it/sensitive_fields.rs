//! What the build generates for sensitive fields, and which messages it refuses.

use crate::protos::compile;
use crate::redaction;

const FILE: &str = "angarium/user/v1/user.proto";

fn assert_refused(body: &str) -> anyhow::Result<()> {
    let mistakes = redaction::read(&compile(&[(FILE, body)])?)
        .err()
        .unwrap_or_default();
    let [mistake] = mistakes.as_slice() else {
        anyhow::bail!("expected one mistake, got {mistakes:#?}");
    };
    assert!(
        mistake.starts_with(&format!(
            "proto/{FILE}: message Secret: it has sensitive fields"
        )),
        "{mistake}"
    );
    Ok(())
}

#[test]
fn a_sensitive_field_is_redacted_and_its_neighbours_are_shown() -> anyhow::Result<()> {
    let body = "enum Kind { KIND_UNSPECIFIED = 0; }
        message Secret {
            string code = 1 [(angarium.event.v1.sensitive) = true];
            string type = 2;
            Kind kind = 3;
            optional Kind old_kind = 4;
            map<string, string> labels = 5;
            string public = 6 [(angarium.event.v1.sensitive) = false];
        }
        message Open { Secret secret = 1; }";
    let messages = redaction::read(&compile(&[(FILE, body)])?)
        .map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
    let names: Vec<_> = messages
        .iter()
        .map(redaction::RedactedMessage::full_name)
        .collect();
    assert_eq!(names, ["angarium.user.v1.Secret"]);

    let code = redaction::to_rust(&messages);

    assert!(
        code.contains(r#".field("code", &::core::format_args!("[redacted]"))"#),
        "{code}"
    );
    assert!(!code.contains("r#code"), "{code}");
    for shown in ["type", "old_kind", "labels", "public"] {
        assert!(
            code.contains(&format!(".field({shown:?}, &self.r#{shown})")),
            "{code}"
        );
    }
    assert!(code.contains("self.r#kind().as_str_name()"), "{code}");
    Ok(())
}

#[test]
fn a_sensitive_field_beside_a_nested_message_is_refused() -> anyhow::Result<()> {
    assert_refused(
        "message Secret { string code = 1 [(angarium.event.v1.sensitive) = true]; message Inner {} }",
    )
}

#[test]
fn a_sensitive_field_of_a_nested_message_is_refused() -> anyhow::Result<()> {
    assert_refused(
        "message Outer { message Secret { string code = 1 [(angarium.event.v1.sensitive) = true]; } }",
    )
}

#[test]
fn a_sensitive_field_beside_a_oneof_is_refused() -> anyhow::Result<()> {
    assert_refused(
        "message Secret { oneof proof { string code = 1 [(angarium.event.v1.sensitive) = true]; } }",
    )
}
