//! What a running system exports, as a collector gets it: traces, metrics and logs of one registration and one order.

mod journey;
mod logs;
mod losing;
mod measured;
mod story;

pub(crate) use measured::OF_FAILURES;
