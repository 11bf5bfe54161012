//! The exports of a running system: traces, metrics and logs of one registration and one order.

mod encrypted;
mod journey;
mod logs;
mod losing;
mod measured;
mod story;

pub(crate) use measured::OF_FAILURES;
