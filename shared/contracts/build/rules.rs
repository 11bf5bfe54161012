//! Reads the rules of `buf/validate/validate.proto` from a field.
//!
//! An unknown rule fails the build: otherwise no code would enforce it.

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, Value};

const FIELD: &str = "buf.validate.field";
const MESSAGE: &str = "buf.validate.message";
const ONEOF: &str = "buf.validate.oneof";
// The values of `buf.validate.Ignore`.
const IF_ZERO_VALUE: i32 = 1;
const ALWAYS: i32 = 3;
/// Compared as text: no regular expression runs in a request.
const ONE_LINE: &str = r"^\P{Cc}*$";
const PADDED_LINE: &str = r"^\s*\P{Cc}*\s*$";
const LINES: &str = r"^[\P{Cc}\t\n\r]*$";

#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) required: bool,
    pub(crate) ignore: Ignore,
    /// `None` if the value has no rules.
    pub(crate) check: Option<Check>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Ignore {
    #[default]
    Never,
    IfZero,
    Always,
}

/// By the kind of the value. Bounds are inclusive.
pub(crate) enum Check {
    Text {
        min: u64,
        max: Option<u64>,
        form: Form,
    },
    Bytes {
        min: u64,
        max: Option<u64>,
    },
    Number {
        min: Option<i128>,
        max: Option<i128>,
    },
    Enum {
        defined_only: bool,
        not_in: Vec<i32>,
    },
    List {
        min: u64,
        max: Option<u64>,
        items: Box<Rules>,
    },
}

/// The allowed characters of a text, named as `Form` in `src/validation.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Any,
    Uuid,
    OneLine,
    PaddedLine,
    Lines,
}

impl Check {
    pub(crate) fn is_bounded(&self) -> bool {
        match self {
            Self::Text { max, form, .. } => max.is_some() || *form == Form::Uuid,
            Self::Bytes { max, .. } => max.is_some(),
            Self::Number { min, max } => min.is_some() || max.is_some(),
            Self::Enum { defined_only, .. } => *defined_only,
            Self::List { max, .. } => max.is_some(),
        }
    }
}

/// # Errors
/// A rule is unknown or does not fit the field.
pub(crate) fn of_field(pool: &DescriptorPool, field: &FieldDescriptor) -> Result<Rules, String> {
    let Some(extension) = pool.get_extension_by_name(FIELD) else {
        return Ok(Rules::default());
    };
    let options = field.options();
    if !options.has_extension(&extension) {
        return Ok(Rules::default());
    }
    let rules = options.get_extension(&extension);
    let rules = rules.as_message().ok_or("its rules are no message")?;
    read(rules, &field.kind(), field.is_list())
}

/// Rules of a message or oneof: the build cannot check these.
pub(crate) fn misplaced(
    pool: &DescriptorPool,
    message: &prost_reflect::MessageDescriptor,
) -> Option<&'static str> {
    let has = |options: DynamicMessage, name: &str| {
        pool.get_extension_by_name(name)
            .is_some_and(|extension| options.has_extension(&extension))
    };
    if has(message.options(), MESSAGE) {
        return Some(MESSAGE);
    }
    message
        .oneofs()
        .any(|oneof| has(oneof.options(), ONEOF))
        .then_some(ONEOF)
}

fn read(rules: &DynamicMessage, kind: &Kind, is_list: bool) -> Result<Rules, String> {
    let mut read = Rules::default();
    for (rule, value) in set(rules)? {
        match (rule.as_str(), &value) {
            ("required", Value::Bool(required)) => read.required = *required,
            ("ignore", Value::EnumNumber(IF_ZERO_VALUE)) => read.ignore = Ignore::IfZero,
            ("ignore", Value::EnumNumber(ALWAYS)) => read.ignore = Ignore::Always,
            ("repeated", Value::Message(rules)) if is_list => {
                read.check = Some(list(rules, kind)?);
            }
            (name, Value::Message(rules)) if !is_list && name == name_of(kind) => {
                read.check = Some(of_kind(rules, kind)?);
            }
            _ => return Err(unknown(&rule)),
        }
    }
    Ok(read)
}

fn of_kind(rules: &DynamicMessage, kind: &Kind) -> Result<Check, String> {
    match kind {
        Kind::String => text(rules),
        Kind::Bytes => bytes(rules),
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => number(rules, name_of(kind)),
        Kind::Enum(_) => choice(rules),
        _ => Err(unknown(name_of(kind))),
    }
}

fn text(rules: &DynamicMessage) -> Result<Check, String> {
    let (mut min, mut max, mut is_uuid, mut pattern) = (0, None, false, None);
    for (rule, value) in set(rules)? {
        match (rule.as_str(), value) {
            ("min_len", Value::U64(characters)) => min = characters,
            ("max_len", Value::U64(characters)) => max = Some(characters),
            ("uuid", Value::Bool(uuid)) => is_uuid = uuid,
            ("pattern", Value::String(text)) => pattern = Some(text),
            _ => return Err(unknown(&format!("string.{rule}"))),
        }
    }
    let form = match (is_uuid, pattern) {
        (false, None) => Form::Any,
        (true, None) => Form::Uuid,
        (false, Some(pattern)) => form(&pattern)?,
        (true, Some(_)) => {
            return Err(
                "it has string.uuid and string.pattern; a UUID needs no pattern, so remove it"
                    .to_owned(),
            );
        }
    };
    Ok(Check::Text { min, max, form })
}

fn form(pattern: &str) -> Result<Form, String> {
    match pattern {
        ONE_LINE => Ok(Form::OneLine),
        PADDED_LINE => Ok(Form::PaddedLine),
        LINES => Ok(Form::Lines),
        other => Err(format!(
            "its string.pattern is {other}, which is not one that the build can check; write {ONE_LINE} (no control \
             characters), {PADDED_LINE} (none but in the space around it) or {LINES} (none but line breaks and tabs), each \\ twice in the proto file, or teach it to \
             shared/contracts/build/rules.rs"
        )),
    }
}

fn bytes(rules: &DynamicMessage) -> Result<Check, String> {
    let (mut min, mut max) = (0, None);
    for (rule, value) in set(rules)? {
        match (rule.as_str(), value) {
            ("min_len", Value::U64(bytes)) => min = bytes,
            ("max_len", Value::U64(bytes)) => max = Some(bytes),
            _ => return Err(unknown(&format!("bytes.{rule}"))),
        }
    }
    Ok(Check::Bytes { min, max })
}

fn number(rules: &DynamicMessage, kind: &str) -> Result<Check, String> {
    let (mut min, mut max) = (None, None);
    for (rule, value) in set(rules)? {
        let name = || unknown(&format!("{kind}.{rule}"));
        let value = integer(&value).ok_or_else(name)?;
        match rule.as_str() {
            "gte" => min = Some(value),
            "gt" => min = Some(value + 1),
            "lte" => max = Some(value),
            "lt" => max = Some(value - 1),
            _ => return Err(name()),
        }
    }
    // protovalidate reads such a pair as "outside of".
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Err(format!("its least value {min} is above its greatest {max}"));
    }
    Ok(Check::Number { min, max })
}

fn choice(rules: &DynamicMessage) -> Result<Check, String> {
    let (mut defined_only, mut not_in) = (false, Vec::new());
    for (rule, value) in set(rules)? {
        match (rule.as_str(), value) {
            ("defined_only", Value::Bool(only)) => defined_only = only,
            ("not_in", Value::List(numbers)) => {
                not_in = numbers.iter().filter_map(Value::as_i32).collect();
            }
            _ => return Err(unknown(&format!("enum.{rule}"))),
        }
    }
    Ok(Check::Enum {
        defined_only,
        not_in,
    })
}

fn list(rules: &DynamicMessage, kind: &Kind) -> Result<Check, String> {
    let (mut min, mut max, mut items) = (0, None, Rules::default());
    for (rule, value) in set(rules)? {
        match (rule.as_str(), value) {
            ("min_items", Value::U64(elements)) => min = elements,
            ("max_items", Value::U64(elements)) => max = Some(elements),
            ("items", Value::Message(rules)) => items = read(&rules, kind, false)?,
            _ => return Err(unknown(&format!("repeated.{rule}"))),
        }
    }
    let items = Box::new(items);
    Ok(Check::List { min, max, items })
}

fn set(rules: &DynamicMessage) -> Result<Vec<(String, Value)>, String> {
    if let Some((extension, _)) = rules.extensions().next() {
        return Err(unknown(extension.full_name()));
    }
    if rules.unknown_fields().next().is_some() {
        return Err("it has a rule that validate.proto does not define".to_owned());
    }
    let fields = rules.fields();
    Ok(fields
        .map(|(field, value)| (field.name().to_owned(), value.clone()))
        .collect())
}

fn integer(value: &Value) -> Option<i128> {
    match *value {
        Value::I32(number) => Some(number.into()),
        Value::I64(number) => Some(number.into()),
        Value::U32(number) => Some(number.into()),
        Value::U64(number) => Some(number.into()),
        _ => None,
    }
}

/// In `FieldRules`.
fn name_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Enum(_) => "enum",
        _ => "this kind of field",
    }
}

fn unknown(rule: &str) -> String {
    format!(
        "the rule {rule} is not one that the build can check here; take another one, or teach it to \
         shared/contracts/build/rules.rs"
    )
}
