//! The exports of a running system, as a collector gets them: traces, metrics and logs of one registration and one
//! order.

mod journey;
mod logs;
mod measured;
mod story;
