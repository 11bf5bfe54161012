//! The generated crate as its users see it, and the build's checks of wrong protos.

mod contracts;
mod event_options;
mod file_options;
mod protos;
mod sensitive_fields;
#[cfg(test)]
mod service_config;
mod validation_rules;

// Tests cannot reach modules of the build script otherwise.
#[path = "../../build/checks.rs"]
mod checks;
#[path = "../../build/event_checks.rs"]
mod event_checks;
#[path = "../../build/events.rs"]
mod events;
#[path = "../../build/options.rs"]
mod options;
#[path = "../../build/redaction.rs"]
mod redaction;
#[path = "../../build/rules.rs"]
mod rules;
#[path = "../../build/rust.rs"]
mod rust;
#[path = "../../build/validation.rs"]
mod validation;
