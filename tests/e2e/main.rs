//! The whole system from outside, on both stacks: calls in, mails out.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code only: a panic is how a test fails"
)]

mod access;
mod catalogue;
mod counters;
mod deployment;
mod duplicates;
mod erasure;
mod flow;
mod identity;
mod idle;
mod images;
mod imports;
mod keys;
mod late_recipient;
mod named_columns;
mod notices;
mod observability;
mod poison;
mod profiles;
mod reconcile;
mod registered;
mod sbom;
mod sequences;
mod system;
mod tidy;
mod tools;
mod traces;
mod wording;
