//! Two stacks over a bad link, as a list of operations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    brooklet_fuzz::pair(data);
});
