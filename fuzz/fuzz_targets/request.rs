//! Reads whatever the fuzzer invents by [`fuzzing::request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::request(bytes));
