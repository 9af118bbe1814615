//! What is read from storage, because no runtime API tells it.

use super::{Chain, ChainError, node};
use aria_primitives::{AccountId, H256, energy::Energy};
use codec::Decode;

/// Energy that an account attested for a period.
#[derive(Clone, Debug, PartialEq, Eq, Decode)]
pub struct Attestation {
	/// Begin of the period, Unix milliseconds.
	pub period_start_ms: u64,
	/// End of the period, Unix milliseconds.
	pub period_end_ms: u64,
	/// Energy used, with its grade.
	pub energy: Energy,
}

impl Chain {
	/// The value of a map whose keys are accounts; at the node's best block if none is named.
	async fn of_account(
		&self,
		pallet: &str,
		map: &str,
		account: &AccountId,
		at: Option<H256>,
	) -> Result<Option<Vec<u8>>, ChainError> {
		let id: &[u8] = account.as_ref();
		let mut key = sp_crypto_hashing::twox_128(pallet.as_bytes()).to_vec();
		key.extend(sp_crypto_hashing::twox_128(map.as_bytes()));
		key.extend(sp_crypto_hashing::blake2_128(id));
		key.extend(id);
		let at = at.map(|at| at.0.into());
		let value = self.rpc.state_get_storage(&key, at).await;
		value.map_err(node)
	}

	/// Whether an account has, or has ever had, a consent contract, as the node's best block says.
	pub async fn had_consent(&self, account: &AccountId) -> Result<bool, ChainError> {
		let version = self.of_account("Consent", "LastVersions", account, None);
		Ok(version.await?.is_some())
	}

	/// An account's free balance.
	pub async fn free_balance(&self, account: &AccountId, at: H256) -> Result<u128, ChainError> {
		let Some(value) = self
			.of_account("System", "Account", account, Some(at))
			.await?
		else {
			return Ok(0);
		};
		// AccountInfo: nonce, three reference counters, then AccountData, whose first field is the free balance.
		let (_, _, _, _, free) = <(u32, u32, u32, u32, u128)>::decode(&mut &value[..])
			.map_err(|error| ChainError::Runtime(format!("System.Account: {error}")))?;
		Ok(free)
	}

	/// An account's latest attestations, oldest first.
	pub async fn attestations(
		&self,
		account: &AccountId,
		at: H256,
	) -> Result<Vec<Attestation>, ChainError> {
		let value = self.of_account("Sobriety", "Attestations", account, Some(at));
		let Some(value) = value.await? else {
			return Ok(Vec::new());
		};
		Vec::decode(&mut &value[..])
			.map_err(|error| ChainError::Runtime(format!("Sobriety.Attestations: {error}")))
	}
}
