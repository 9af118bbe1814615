//! Genesis of the networks for development and tests.

use crate::{
	AccountId, BabeConfig, Balance, BalancesConfig, RuntimeGenesisConfig, SessionConfig,
	SessionKeys, SudoConfig, UNIT, configs::BABE_GENESIS_CONFIG,
};
use alloc::{vec, vec::Vec};
use frame_support::build_struct_json_patch;
use serde_json::Value;
use sp_core::{crypto::get_public_from_string_or_panic, sr25519};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

const ENDOWMENT: Balance = 1_000_000 * UNIT;

/// Accounts for workers and verifiers of development networks, beside the well-known ones.
const PARTIES: [&str; 2] = ["Worker", "Verifier"];

fn session_keys(sr: Sr25519Keyring, ed: Ed25519Keyring) -> (AccountId, SessionKeys) {
	let keys = SessionKeys {
		babe: sr.public().into(),
		grandpa: ed.public().into(),
	};
	(sr.to_account_id(), keys)
}

fn genesis(validators: Vec<(AccountId, SessionKeys)>, root: AccountId) -> Value {
	let well_known = Sr25519Keyring::well_known().map(|key| key.to_account_id());
	let parties = PARTIES
		.iter()
		.map(|name| get_public_from_string_or_panic::<sr25519::Public>(name).into());
	build_struct_json_patch!(RuntimeGenesisConfig {
		balances: BalancesConfig {
			balances: well_known
				.chain(parties)
				.map(|who| (who, ENDOWMENT))
				.collect(),
		},
		babe: BabeConfig {
			epoch_config: BABE_GENESIS_CONFIG
		},
		session: SessionConfig {
			keys: validators
				.into_iter()
				.map(|(who, keys)| (who.clone(), who, keys))
				.collect(),
		},
		sudo: SudoConfig { key: Some(root) },
	})
}

/// The patch of a preset, as JSON.
pub fn get(id: &PresetId) -> Option<Vec<u8>> {
	let alice = || session_keys(Sr25519Keyring::Alice, Ed25519Keyring::Alice);
	let bob = || session_keys(Sr25519Keyring::Bob, Ed25519Keyring::Bob);
	let validators = match id.as_ref() {
		DEV_RUNTIME_PRESET => vec![alice()],
		LOCAL_TESTNET_RUNTIME_PRESET => vec![alice(), bob()],
		_ => return None,
	};
	serde_json::to_vec(&genesis(validators, Sr25519Keyring::Alice.to_account_id())).ok()
}

/// Names of the presets.
pub fn names() -> Vec<PresetId> {
	vec![
		PresetId::from(DEV_RUNTIME_PRESET),
		PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
	]
}
