//! Chat templates, and conversations.

#![no_main]

libfuzzer_sys::fuzz_target!(init: aria_fuzz::begin("template"), |bytes: &[u8]| aria_fuzz::read("template", bytes));
