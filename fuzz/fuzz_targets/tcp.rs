//! A stack between hostile peers that learn its sequence numbers.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    brooklet_fuzz::tcp(data);
});
