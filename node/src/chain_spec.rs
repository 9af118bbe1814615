//! The networks that the program knows by name.

use aria_runtime::{DECIMALS, SYMBOL, WASM_BINARY};
use sc_service::{ChainType, GenericChainSpec, Properties};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};

/// A network's specification.
pub(crate) type ChainSpec = GenericChainSpec;

fn spec(name: &str, id: &str, kind: ChainType, preset: &str) -> Result<ChainSpec, String> {
	let code = WASM_BINARY.ok_or("this program was built without its Wasm runtime")?;
	let mut properties = Properties::new();
	properties.insert("tokenSymbol".into(), SYMBOL.into());
	properties.insert("tokenDecimals".into(), DECIMALS.into());
	properties.insert("ss58Format".into(), 42.into());
	Ok(ChainSpec::builder(code, None)
		.with_name(name)
		.with_id(id)
		.with_chain_type(kind)
		.with_protocol_id("aria")
		.with_properties(properties)
		.with_genesis_config_preset_name(preset)
		.build())
}

/// One validator, Alice.
pub(crate) fn development() -> Result<ChainSpec, String> {
	spec(
		"ARIA Development",
		"aria_dev",
		ChainType::Development,
		DEV_RUNTIME_PRESET,
	)
}

/// Two validators, Alice and Bob.
pub(crate) fn local_testnet() -> Result<ChainSpec, String> {
	spec(
		"ARIA Local Testnet",
		"aria_local",
		ChainType::Local,
		LOCAL_TESTNET_RUNTIME_PRESET,
	)
}
