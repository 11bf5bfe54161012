//! Runs [`fuzzing::request`] on inputs of the fuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::request(bytes));
