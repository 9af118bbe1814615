//! Hashes and accounts as text.

use aria_primitives::{AccountId, H256};
use sp_core::crypto::Ss58Codec;

/// `0x` and lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
	format!("0x{}", hex::encode(bytes))
}

/// A hash in hex, with or without `0x`.
pub fn parse_hash(text: &str) -> Option<H256> {
	fixed::<32>(text).map(H256)
}

/// Bytes in hex, with or without `0x`; `None` unless there are just `N`.
pub(crate) fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
	let mut out = [0; N];
	hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut out).ok()?;
	Some(out)
}

/// An account in SS58 or hex.
pub fn parse_account(text: &str) -> Option<AccountId> {
	match fixed::<32>(text) {
		Some(bytes) => Some(AccountId::new(bytes)),
		None => AccountId::from_ss58check(text).ok(),
	}
}
