//! What clients that never saw this program's source take from its runtime.

use aria_runtime::{DECIMALS, Runtime, SYMBOL, VERSION};
use codec::Decode;
use frame_metadata::RuntimeMetadataPrefixed;
use frame_support::traits::Get;
use merkleized_metadata::{ExtraInfo, generate_metadata_digest};

/// The hash of RFC 78: a Ledger proves with it that it shows what is signed.
fn metadata_hash() -> String {
	let metadata =
		Runtime::metadata_at_version(15).expect("version 15 is what the hash is made of");
	let metadata = RuntimeMetadataPrefixed::decode(&mut &metadata[..]).expect("it decodes");
	let extra = ExtraInfo {
		spec_version: VERSION.spec_version,
		spec_name: VERSION.spec_name.to_string(),
		base58_prefix: <<Runtime as frame_system::Config>::SS58Prefix as Get<u16>>::get(),
		decimals: DECIMALS,
		token_symbol: SYMBOL.into(),
	};
	let digest = generate_metadata_digest(&metadata.1, extra).expect("it has a digest");
	format!(
		"0x{}",
		digest.hash().map(|byte| format!("{byte:02x}")).concat()
	)
}

#[test]
fn metadata_hash_should_be_the_one_in_the_runtime() {
	let compiled = option_env!("RUNTIME_METADATA_HASH");
	assert_eq!(
		Some(metadata_hash().as_str()),
		compiled,
		"calls, types or versions have changed: write the left hash into .cargo/config.toml"
	);
}

#[test]
fn light_clients_should_know_the_system_version() {
	// smoldot refuses a runtime whose version it does not know, and with it the whole chain.
	assert_eq!(VERSION.system_version, 1);
}
