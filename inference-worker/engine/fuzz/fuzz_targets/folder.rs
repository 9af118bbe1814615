//! Hugging Face folders: config, index, safetensors, tokenizer, template.

#![no_main]

libfuzzer_sys::fuzz_target!(init: aria_fuzz::begin("folder"), |bytes: &[u8]| aria_fuzz::read("folder", bytes));
