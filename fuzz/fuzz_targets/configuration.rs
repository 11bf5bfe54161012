//! Reads whatever the fuzzer invents by [`fuzzing::configuration`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::configuration(bytes));
