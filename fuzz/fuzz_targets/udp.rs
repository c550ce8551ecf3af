//! See `brooklet_fuzz::udp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    brooklet_fuzz::udp(data);
});
