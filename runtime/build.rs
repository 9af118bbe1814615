//! Compiles the runtime to Wasm.

fn main() {
	#[cfg(feature = "std")]
	{
		// Set in .cargo/config.toml. The builder could find it out, but only by compiling a second Wasm executor for
		// itself and the runtime twice; tests/metadata.rs holds it instead.
		println!("cargo:rerun-if-env-changed=RUNTIME_METADATA_HASH");
		substrate_wasm_builder::WasmBuilder::build_using_defaults();
	}
}
