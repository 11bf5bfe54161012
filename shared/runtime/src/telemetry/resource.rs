//! Which process exports: its service, its instance, and what the operator adds.
//!
//! `OTEL_RESOURCE_ATTRIBUTES` is read here: the SDK keeps percent-encoded characters.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use percent_encoding::percent_decode_str;

use super::error::TelemetryError;

const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// `OTEL_SERVICE_NAME` wins over `OTEL_RESOURCE_ATTRIBUTES`, and both over the program.
pub(super) fn resource(
    service_name: &'static str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Resource, TelemetryError> {
    let instance = uuid::Uuid::new_v4().to_string();
    let given = variable(ATTRIBUTES).unwrap_or_default();
    let Some(attributes) = attributes(&given) else {
        let expected = "pairs such as deployment.environment.name=test, with commas between them and , = % in them \
            percent-encoded";
        return Err(TelemetryError::setting(
            ATTRIBUTES.to_owned(),
            &given,
            expected,
        ));
    };
    let mut resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", service_name),
            KeyValue::new("service.namespace", "angarium"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes);
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        resource = resource.with_service_name(name);
    }
    Ok(resource.build())
}

/// By the specification, one unreadable pair makes all of it `None`.
fn attributes(given: &str) -> Option<Vec<KeyValue>> {
    let pairs = given.split(',').filter(|pair| !pair.trim().is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let (key, value) = (decoded(key)?, decoded(value)?);
            (!key.is_empty()).then(|| KeyValue::new(key, value))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let text = text.trim();
    let mut rest = text;
    while let Some((_, escape)) = rest.split_once('%') {
        let digits = escape.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        rest = &escape[2..];
    }
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use opentelemetry::Key;

    use super::*;

    fn with(given: &str) -> Result<Resource, TelemetryError> {
        resource("order-service", |name| {
            (name == ATTRIBUTES).then(|| given.to_owned())
        })
    }

    #[test]
    fn attributes_are_percent_decoded() {
        let resource = with("team=caf%C3%A9%2C%3D%25, service.name = orders ,").unwrap();
        for (key, expected) in [
            ("team", "café,=%"),
            ("service.name", "orders"),
            ("service.namespace", "angarium"),
        ] {
            let value = resource.get(&Key::new(key)).unwrap();
            assert_eq!(value.as_str(), expected, "{key}");
        }
    }

    #[test]
    fn attributes_that_cannot_be_read_are_refused_by_name() {
        for given in [
            "team", "team=50%", "team=%zz", "team=%FF", "=orders", "a=b,c",
        ] {
            let error = with(given).unwrap_err().to_string();
            assert!(
                error.contains(ATTRIBUTES) && error.contains(given),
                "{error}"
            );
        }
    }
}
