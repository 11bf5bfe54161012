//! What a running system exports, as a collector gets it: traces, metrics and logs of one registration and one order.

mod encrypted;
mod journey;
mod logs;
mod measured;
mod story;
