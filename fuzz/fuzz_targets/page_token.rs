//! Reads whatever the fuzzer invents by [`fuzzing::page_token`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::page_token(bytes));
