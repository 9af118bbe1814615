//! Vocabularies in GGUF files, and texts.

#![no_main]

libfuzzer_sys::fuzz_target!(init: aria_fuzz::begin("vocabulary"), |bytes: &[u8]| aria_fuzz::read("vocabulary", bytes));
