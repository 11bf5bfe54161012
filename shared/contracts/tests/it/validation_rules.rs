//! What the build generates for the rules of a request, and which rules it refuses.

use crate::protos::compile;
use crate::validation;

const FILE: &str = "angarium/order/v1/order.proto";
const SERVICE: &str =
    "service OrderService { rpc Ask(Request) returns (Answer); } message Answer {}\n";

fn request(fields: &str) -> String {
    format!("{SERVICE} message Request {{ {fields} }}\n")
}

fn generated(body: &str) -> anyhow::Result<String> {
    let messages = validation::read(&compile(&[(FILE, body)])?)
        .map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
    Ok(validation::to_rust(&messages))
}

/// Exactly one mistake, with its place.
fn assert_refused(body: &str, at: &str, what: &str) -> anyhow::Result<()> {
    let read = validation::read(&compile(&[(FILE, body)])?);
    let mistakes = read.err().unwrap_or_default();
    let [mistake] = mistakes.as_slice() else {
        anyhow::bail!("expected one mistake about {body}, got {mistakes:#?}");
    };
    assert!(
        mistake.starts_with(&format!("proto/{FILE}: message {at}: ")),
        "{mistake}"
    );
    assert!(mistake.contains(what), "{mistake}");
    Ok(())
}

#[test]
fn each_rule_becomes_one_check() -> anyhow::Result<()> {
    let fields = "
        string type = 1 [(buf.validate.field).string = {min_len: 1, max_len: 64}];
        string id = 2 [(buf.validate.field) = {ignore: IGNORE_IF_ZERO_VALUE, string: {uuid: true}}];
        optional string note = 3 [(buf.validate.field) = {required: true, string: {max_len: 9}}];
        bytes key = 4 [(buf.validate.field) = {required: true, bytes: {max_len: 32}}];
        int64 count = 5 [(buf.validate.field).int64 = {gt: 0, lt: 10}];
        optional uint32 size = 6 [(buf.validate.field).uint32.lte = 7];
        State state = 7 [(buf.validate.field).enum = {defined_only: true, not_in: [0]}];
        repeated State states = 8 [(buf.validate.field).repeated = {
            max_items: 3, items: {enum: {defined_only: true}}}];
        repeated string tags = 9 [(buf.validate.field).repeated = {
            min_items: 1, max_items: 3, items: {string: {max_len: 5}}}];
        Inner inner = 10 [(buf.validate.field).required = true];
        repeated Inner inners = 11 [(buf.validate.field).repeated.max_items = 2];
        string shown = 12 [(buf.validate.field).ignore = IGNORE_ALWAYS];
        bool flag = 13;
        string line = 14 [(buf.validate.field).string = {max_len: 9, pattern: \"^\\\\P{Cc}*$\"}];
        string padded = 16 [(buf.validate.field).string = {max_len: 9, pattern: \"^\\\\s*\\\\P{Cc}*\\\\s*$\"}];
        string lines = 15 [(buf.validate.field).string = {max_len: 9, pattern: \"^[\\\\P{Cc}\\\\t\\\\n\\\\r]*$\"}];";
    let others = "message Inner { string a = 1 [(buf.validate.field).string.max_len = 1]; }
        enum State { STATE_UNSPECIFIED = 0; STATE_ON = 1; }";
    let code = generated(&(request(fields) + others))?;
    for check in [
        r#"found.text("type", self.r#type.as_str(), 1, 64, crate::Form::Any);"#,
        r#"if !self.r#id.is_empty() { found.text("id", self.r#id.as_str(), 0, 18446744073709551615, crate::Form::Uuid); }"#,
        r#"found.required("note", self.r#note.is_some());"#,
        "if let Some(value) = &self.r#note {\nfound.text(\"note\", value.as_str(), 0, 9, crate::Form::Any);\n}",
        r#"found.bytes("key", self.r#key.as_slice(), 1, 32);"#,
        r#"found.number("count", self.r#count.into(), Some(1), Some(9));"#,
        "if let Some(value) = self.r#size {\nfound.number(\"size\", value.into(), None, Some(7));\n}",
        r#"found.choice("state", self.r#state, &[(1, "STATE_ON")]);"#,
        "for (index, item) in self.r#states.iter().copied().enumerate() {\n\
         found.choice(&format!(\"states[{index}]\"), item, &[(0, \"STATE_UNSPECIFIED\"), (1, \"STATE_ON\")]);\n}",
        r#"found.list("tags", self.r#tags.len(), 1, 3);"#,
        "for (index, item) in self.r#tags.iter().enumerate() {\n\
         found.text(&format!(\"tags[{index}]\"), item.as_str(), 0, 5, crate::Form::Any);\n}",
        r#"found.required("inner", self.r#inner.is_some());"#,
        r#"found.inner("inner", self.r#inner.as_ref());"#,
        r#"found.each("inners", &self.r#inners);"#,
        "impl crate::Validate for crate::order::v1::Inner {",
        r#"found.text("line", self.r#line.as_str(), 0, 9, crate::Form::OneLine);"#,
        r#"found.text("padded", self.r#padded.as_str(), 0, 9, crate::Form::PaddedLine);"#,
        r#"found.text("lines", self.r#lines.as_str(), 0, 9, crate::Form::Lines);"#,
    ] {
        assert!(code.contains(check), "{check}\nis not in\n{code}");
    }
    for silent in ["shown", "flag", "Answer"] {
        assert!(!code.contains(silent), "{silent} is in\n{code}");
    }
    Ok(())
}

#[test]
fn a_rule_that_is_not_known_is_refused_with_its_place_and_name() -> anyhow::Result<()> {
    for (field, rule) in [
        (
            "string a = 1 [(buf.validate.field).string = {max_len: 9, suffix: \"x\"}];",
            "string.suffix",
        ),
        (
            "bytes a = 1 [(buf.validate.field).bytes = {max_len: 9, prefix: \"x\"}];",
            "bytes.prefix",
        ),
        (
            "int32 a = 1 [(buf.validate.field).int32.const = 1];",
            "int32.const",
        ),
        (
            "double a = 1 [(buf.validate.field).double.gte = 0];",
            "double",
        ),
        (
            "State a = 1 [(buf.validate.field).enum = {defined_only: true, const: 1}];",
            "enum.const",
        ),
        (
            "repeated int32 a = 1 [(buf.validate.field).repeated = {max_items: 2, unique: true}];",
            "repeated.unique",
        ),
        (
            "string a = 1 [(buf.validate.field).cel = {id: \"x\", expression: \"true\"}];",
            "cel",
        ),
        (
            "int32 a = 1 [(buf.validate.field).string.max_len = 1];",
            "string",
        ),
    ] {
        let body = request(field) + "enum State { STATE_UNSPECIFIED = 0; STATE_ON = 1; }";
        let what = format!("field a: the rule {rule} is not one that the build can check");
        assert_refused(&body, "Request", &what)?;
    }
    Ok(())
}

#[test]
fn a_pattern_that_is_not_known_is_refused_with_those_that_are() -> anyhow::Result<()> {
    let body = request(
        "string a = 1 [(buf.validate.field).string = {max_len: 9, pattern: \"^[a-z]+$\"}];",
    );
    for what in [
        "field a: its string.pattern is ^[a-z]+$, which is not one that the build can check",
        r"write ^\P{Cc}*$ (no control characters), ^\s*\P{Cc}*\s*$ (none but in the space around it) or ^[\P{Cc}\t\n\r]*$",
    ] {
        assert_refused(&body, "Request", what)?;
    }
    let body = request(
        "string a = 1 [(buf.validate.field).string = {uuid: true, pattern: \"^\\\\P{Cc}*$\"}];",
    );
    assert_refused(&body, "Request", "it has string.uuid and string.pattern")
}

#[test]
fn every_field_of_a_request_is_bounded() -> anyhow::Result<()> {
    for (field, what) in [
        ("string a = 1;", "string.max_len or string.uuid"),
        (
            "string a = 1 [(buf.validate.field).string.min_len = 1];",
            "string.max_len",
        ),
        ("bytes a = 1;", "bytes.max_len"),
        ("int32 a = 1;", "a least or a greatest value"),
        ("State a = 1;", "enum.defined_only"),
        ("repeated Inner a = 1;", "repeated.max_items"),
        (
            "repeated string a = 1 [(buf.validate.field).repeated.max_items = 2];",
            "its elements are not bounded",
        ),
        ("map<string, string> a = 1;", "neither a map nor a oneof"),
        ("oneof b { string a = 1; }", "neither a map nor a oneof"),
    ] {
        let body =
            request(field) + "message Inner {} enum State { STATE_UNSPECIFIED = 0; STATE_ON = 1; }";
        assert_refused(&body, "Request", what)?;
    }
    let inside = request("Inner inner = 1;") + "message Inner { string a = 1; }";
    assert_refused(&inside, "Inner", "add string.max_len")
}

#[test]
fn rules_that_no_code_checks_are_refused() -> anyhow::Result<()> {
    let body = "message Order { string a = 1 [(buf.validate.field).string.max_len = 1]; }";
    assert_refused(body, "Order", "no request holds its message")?;
    let body = request("option (buf.validate.message).cel = {id: \"x\", expression: \"true\"};");
    assert_refused(
        &body,
        "Request",
        "the build checks no rules of buf.validate.message",
    )?;
    let body = request("int32 a = 1 [(buf.validate.field).int32 = {gte: 9, lte: 8}];");
    assert_refused(
        &body,
        "Request",
        "its least value 9 is above its greatest 8",
    )?;
    let nested = request("message Inner {} Inner a = 1;");
    assert_refused(&nested, "Request", "a request cannot hold a nested message")
}
