//! What must hold of any text as rules of a filter.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    brooklet_fuzz::ruleset(data);
});
