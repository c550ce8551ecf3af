//! See `brooklet_fuzz::vnet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    brooklet_fuzz::vnet(data);
});
