//! GGUF files, and what is made of them.

#![no_main]

libfuzzer_sys::fuzz_target!(init: aria_fuzz::begin("gguf"), |bytes: &[u8]| aria_fuzz::read("gguf", bytes));
