//! Accounts and their signatures: Schnorr over Ristretto, as schnorrkel has it.
//!
//! With the feature `sp-core`, [`AccountId`] and [`Signature`] are the chain's own types. Without it they are plain bytes
//! with the same SCALE encoding and the same metadata, and with no function that the chain's types lack: code that
//! compiles without the feature compiles with it.

#[cfg(not(feature = "sp-core"))]
pub use bare::{AccountId, Signature};
#[cfg(feature = "sp-core")]
pub use sp_core::{crypto::AccountId32 as AccountId, sr25519::Signature};

/// Whether this is the account's signature over the message.
///
/// A runtime asks its node; anything else computes it here. Both find the same.
#[cfg(feature = "chain")]
pub fn verify(signature: &Signature, message: &[u8], account: &AccountId) -> bool {
	let key = sp_core::sr25519::Public::from_raw(*account.as_ref());
	sp_io::crypto::sr25519_verify(signature, message, &key)
}

/// Whether this is the account's signature over the message.
#[cfg(all(any(test, feature = "verify"), not(feature = "chain")))]
pub fn verify(signature: &Signature, message: &[u8], account: &AccountId) -> bool {
	verify_bytes(signature.as_ref(), message, account.as_ref())
}

/// As `sp_core::sr25519::Pair::verify`, whose signing context it repeats.
#[cfg(any(test, all(feature = "verify", not(feature = "chain"))))]
fn verify_bytes(signature: &[u8], message: &[u8], key: &[u8]) -> bool {
	let Ok(signature) = schnorrkel::Signature::from_bytes(signature) else {
		return false;
	};
	let Ok(key) = schnorrkel::PublicKey::from_bytes(key) else {
		return false;
	};
	key.verify_simple(b"substrate", message, &signature).is_ok()
}

#[cfg(any(test, not(feature = "sp-core")))]
mod bare {
	use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
	use core::fmt;
	use scale_info::{Path, Type, TypeInfo, build::Fields};

	/// Account identifier of the chain: an sr25519 public key.
	// Not `Copy`, because the chain's type is not.
	#[derive(
		Clone,
		PartialEq,
		Eq,
		PartialOrd,
		Ord,
		Hash,
		Encode,
		Decode,
		DecodeWithMemTracking,
		MaxEncodedLen,
	)]
	pub struct AccountId([u8; 32]);

	impl AccountId {
		/// The account of this public key.
		pub const fn new(key: [u8; 32]) -> Self {
			Self(key)
		}
	}

	impl TypeInfo for AccountId {
		type Identity = Self;

		fn type_info() -> Type {
			let path = Path::from_segments(["sp_core", "crypto", "AccountId32"]);
			Type::builder()
				.path(path.expect("three identifiers; qed"))
				.docs(&["An opaque 32-byte cryptographic identifier."])
				.composite(
					Fields::unnamed().field(|field| field.ty::<[u8; 32]>().type_name("[u8; 32]")),
				)
		}
	}

	/// An sr25519 signature.
	#[derive(
		Clone,
		Copy,
		PartialEq,
		Eq,
		PartialOrd,
		Ord,
		Hash,
		Encode,
		Decode,
		DecodeWithMemTracking,
		MaxEncodedLen,
	)]
	pub struct Signature(
		/// Its bytes: a compressed Ristretto point, then a scalar with its highest bit set.
		pub [u8; 64],
	);

	impl Signature {
		/// A signature of these bytes, right or wrong.
		pub const fn from_raw(bytes: [u8; 64]) -> Self {
			Self(bytes)
		}
	}

	impl Default for Signature {
		fn default() -> Self {
			Self([0; 64])
		}
	}

	impl TypeInfo for Signature {
		type Identity = [u8; 64];

		fn type_info() -> Type {
			Self::Identity::type_info()
		}
	}

	macro_rules! bytes {
		($name:ident, $len:literal) => {
			impl From<[u8; $len]> for $name {
				fn from(bytes: [u8; $len]) -> Self {
					Self(bytes)
				}
			}

			impl From<$name> for [u8; $len] {
				fn from(from: $name) -> Self {
					from.0
				}
			}

			impl AsRef<[u8; $len]> for $name {
				fn as_ref(&self) -> &[u8; $len] {
					&self.0
				}
			}

			impl AsRef<[u8]> for $name {
				fn as_ref(&self) -> &[u8] {
					&self.0
				}
			}

			impl fmt::Debug for $name {
				fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
					self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
				}
			}
		};
	}

	bytes!(AccountId, 32);
	bytes!(Signature, 64);
}

#[cfg(test)]
mod tests {
	use super::*;
	use alloc::vec;
	use codec::{Decode, Encode, MaxEncodedLen};
	use scale_info::{MetaType, PortableRegistry, Registry, TypeInfo};
	use sp_core::{Pair, crypto::AccountId32};

	fn metadata<T: TypeInfo + 'static>() -> PortableRegistry {
		let mut registry = Registry::new();
		registry.register_type(&MetaType::new::<T>());
		registry.into()
	}

	/// What both types have in common, byte for byte.
	fn assert_alike<const N: usize, Bare, Chain>()
	where
		Bare: From<[u8; N]> + Encode + Decode + MaxEncodedLen + TypeInfo + 'static,
		Chain: From<[u8; N]> + Encode + Decode + MaxEncodedLen + TypeInfo + 'static,
	{
		let bytes: [u8; N] = core::array::from_fn(|i| 3 * i as u8);
		let (bare, chain) = (Bare::from(bytes).encode(), Chain::from(bytes).encode());
		assert_eq!(bare, chain);
		assert_eq!(Bare::decode(&mut &chain[..]).unwrap().encode(), chain);
		assert!(Bare::decode(&mut &chain[1..]).is_err());
		assert_eq!(Bare::max_encoded_len(), Chain::max_encoded_len());
		assert_eq!(Bare::type_info(), Chain::type_info());
		assert_eq!(metadata::<Bare>().types, metadata::<Chain>().types);
	}

	#[test]
	fn bare_types_should_encode_and_describe_themselves_as_the_chains_do() {
		assert_alike::<32, bare::AccountId, AccountId32>();
		assert_alike::<64, bare::Signature, sp_core::sr25519::Signature>();
		assert_eq!(bare::AccountId::new([7; 32]), [7; 32].into());
		assert_eq!(bare::Signature::from_raw([7; 64]), [7; 64].into());
	}

	#[test]
	fn signature_should_be_found_right_or_wrong_as_the_chain_finds_it() {
		let pair = sp_core::sr25519::Pair::from_seed(&[7; 32]);
		let (message, key) = (b"message", pair.public());
		let right = pair.sign(message);
		assert!(verify_bytes(&right.0, message, &key.0));
		let other = sp_core::sr25519::Pair::from_seed(&[8; 32]).public();
		let mut cases = vec![
			(right.0, &b"massage"[..], key.0),
			(right.0, message, other.0),
			// Not a point.
			(right.0, message, [0xff; 32]),
			([0; 64], message, key.0),
			([0xff; 64], message, [0; 32]),
		];
		for byte in 0..64 {
			// The highest bit of a signature marks it as one of this scheme.
			for bit in [0, 7] {
				let mut changed = right.0;
				changed[byte] ^= 1 << bit;
				cases.push((changed, message, key.0));
			}
		}
		for (signature, message, key) in cases {
			assert!(!verify_bytes(&signature, message, &key));
			assert!(!sp_io::crypto::sr25519_verify(
				&signature.into(),
				message,
				&key.into()
			));
		}
	}
}
