//! What must hold of any bytes, and of what is written in answer to them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| brooklet_fuzz::parse(data));
