//! Reads whatever the fuzzer invents by [`fuzzing::event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::event(bytes));
