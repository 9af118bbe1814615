//! What a node says about itself and its peers.

use super::{Chain, ChainError, node};
use aria_primitives::H256;
use codec::{Compact, Decode, Encode};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use subxt::rpcs::client::RpcParams;

/// How long a node may take to accept a connection or to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A node's state, as it tells it itself.
#[derive(Clone, Debug, serde::Serialize)]
pub struct NodeStatus {
	/// Name of the chain.
	pub chain: String,
	/// Name of the program.
	pub program: String,
	/// Version of the program.
	pub version: String,
	/// Name and version of the runtime, as `aria 1`.
	pub runtime: String,
	/// Hash of the first block, in hex.
	pub genesis: String,
	/// The node's name among its peers.
	pub peer_id: String,
	/// Addresses at which peers reach it.
	pub addresses: Vec<String>,
	/// How many peers.
	pub peers: u64,
	/// Whether it should have any.
	pub should_have_peers: bool,
	/// Whether it is behind its peers.
	pub syncing: bool,
	/// The best block.
	pub best: u32,
	/// The latest final block.
	pub finalized: u32,
	/// The chain's clock at the final block, milliseconds since 1970; none before the first block.
	pub timestamp_ms: Option<u64>,
}

/// A peer of a node.
#[derive(Clone, Debug, serde::Serialize, Deserialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub struct Peer {
	/// Its name.
	pub peer_id: String,
	/// What it does: `FULL`, `AUTHORITY` or `LIGHT`.
	pub roles: String,
	/// Its best block.
	pub best_number: u64,
	/// Hash of that block.
	pub best_hash: String,
}

/// What a block's hash is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
	/// Hash of the block before.
	pub parent: H256,
	/// The block's number.
	pub number: u32,
	state_root: H256,
	extrinsics_root: H256,
	/// Encoded items of the digest.
	digest: Vec<Vec<u8>>,
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
	hex::decode(value.as_str()?.strip_prefix("0x")?).ok()
}

fn hash(value: &Value) -> Option<H256> {
	Some(H256(bytes(value)?.try_into().ok()?))
}

fn number(value: &Value) -> Option<u32> {
	u32::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

impl Header {
	fn read(value: &Value) -> Option<Self> {
		let logs = value.pointer("/digest/logs")?.as_array()?;
		Some(Self {
			parent: hash(value.get("parentHash")?)?,
			number: number(value.get("number")?)?,
			state_root: hash(value.get("stateRoot")?)?,
			extrinsics_root: hash(value.get("extrinsicsRoot")?)?,
			digest: logs.iter().map(bytes).collect::<Option<_>>()?,
		})
	}

	/// The block's hash, computed from its header.
	pub fn hash(&self) -> H256 {
		let mut bytes = (self.parent, Compact(self.number)).encode();
		(self.state_root, self.extrinsics_root).encode_to(&mut bytes);
		Compact(self.digest.len() as u32).encode_to(&mut bytes);
		for item in &self.digest {
			bytes.extend_from_slice(item);
		}
		H256(sp_crypto_hashing::blake2_256(&bytes))
	}
}

fn text(value: Value) -> String {
	value.as_str().unwrap_or("not told").to_owned()
}

impl Chain {
	/// [`Chain::connect`] with a time-out of 15 seconds.
	pub async fn connect_with_timeout(url: &str) -> Result<Self, ChainError> {
		match tokio::time::timeout(PATIENCE, Self::connect(url)).await {
			Ok(result) => result,
			Err(_) => Err(ChainError::Node("it does not answer".into())),
		}
	}

	async fn request(&self, method: &str, params: &[Value]) -> Result<Value, ChainError> {
		let mut list = RpcParams::new();
		for param in params {
			list.push(param).map_err(node)?;
		}
		let answer = self.client_rpc.request(method, list);
		match tokio::time::timeout(PATIENCE, answer).await {
			Ok(answer) => answer.map_err(|error| ChainError::Node(format!("{method}: {error}"))),
			Err(_) => Err(ChainError::Node(format!("{method}: no answer"))),
		}
	}

	/// Whether it is a chain for development, whose machines may all be one.
	pub async fn is_for_development(&self) -> Result<bool, ChainError> {
		let kind = self.request("system_chainType", &[]).await?;
		Ok(matches!(kind.as_str(), Some("Development" | "Local")))
	}

	/// The header of a block.
	pub async fn header(&self, at: H256) -> Result<Header, ChainError> {
		let at = format!("0x{}", hex::encode(at));
		let value = self.request("chain_getHeader", &[at.into()]).await?;
		Header::read(&value).ok_or_else(|| ChainError::Node("no header of that block".into()))
	}

	/// What the node says about itself.
	pub async fn status(&self) -> Result<NodeStatus, ChainError> {
		let health = self.request("system_health", &[]).await?;
		let runtime = self.request("state_getRuntimeVersion", &[]).await?;
		let best = self.request("chain_getHeader", &[]).await?;
		let addresses = self.request("system_localListenAddresses", &[]).await?;
		let addresses = addresses.as_array().into_iter().flatten();
		let finalized = self.finalized().await?;
		let is = |name: &str| health.get(name).and_then(Value::as_bool).unwrap_or(false);
		Ok(NodeStatus {
			chain: text(self.request("system_chain", &[]).await?),
			program: text(self.request("system_name", &[]).await?),
			version: text(self.request("system_version", &[]).await?),
			runtime: format!(
				"{} {}",
				runtime
					.get("specName")
					.and_then(Value::as_str)
					.unwrap_or("unnamed"),
				runtime
					.get("specVersion")
					.and_then(Value::as_u64)
					.unwrap_or(0)
			),
			genesis: format!("0x{}", hex::encode(self.genesis())),
			peer_id: text(self.request("system_localPeerId", &[]).await?),
			addresses: addresses
				.filter_map(|one| Some(one.as_str()?.to_owned()))
				.collect(),
			peers: health.get("peers").and_then(Value::as_u64).unwrap_or(0),
			should_have_peers: is("shouldHavePeers"),
			syncing: is("isSyncing"),
			best: best.get("number").and_then(number).unwrap_or(0),
			finalized: finalized.number,
			timestamp_ms: self.timestamp(finalized.hash).await?,
		})
	}

	/// The node's peers. Nodes refuse to tell them to others unless started with `--rpc-methods unsafe`.
	pub async fn peers(&self) -> Result<Vec<Peer>, ChainError> {
		let peers = self.request("system_peers", &[]).await?;
		serde_json::from_value(peers).map_err(|error| ChainError::Node(error.to_string()))
	}

	/// The clock of the chain at a block, milliseconds since 1970.
	async fn timestamp(&self, at: H256) -> Result<Option<u64>, ChainError> {
		let mut key = sp_crypto_hashing::twox_128(b"Timestamp").to_vec();
		key.extend(sp_crypto_hashing::twox_128(b"Now"));
		let value = self.rpc.state_get_storage(&key, Some(at.0.into())).await;
		Ok(value
			.map_err(node)?
			.and_then(|value| u64::decode(&mut &value[..]).ok()))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	#[test]
	fn header_should_hash_as_substrate_hashes_it() {
		// The first block of Polkadot and its hash, as every explorer shows them.
		let genesis = json!({
			"parentHash": format!("0x{}", "00".repeat(32)),
			"number": "0x0",
			"stateRoot": "0x29d0d972cd27cbc511e9589fcb7a4506d5eb6a9e8df205f00472e5ab354a4e17",
			"extrinsicsRoot": "0x03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314",
			"digest": { "logs": [] },
		});
		let header = Header::read(&genesis).unwrap();
		assert_eq!(
			hex::encode(header.hash()),
			"91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3"
		);
		assert_eq!(Header::read(&json!({ "number": "0x0" })), None);
	}
}
