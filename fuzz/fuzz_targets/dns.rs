//! See `brooklet_fuzz::dns`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    brooklet_fuzz::dns(data);
});
