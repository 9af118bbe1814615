//! `tokenizer.json`, the settings beside it, and texts.

#![no_main]

libfuzzer_sys::fuzz_target!(init: aria_fuzz::begin("tokenizer"), |bytes: &[u8]| aria_fuzz::read("tokenizer", bytes));
