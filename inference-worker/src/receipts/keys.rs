//! Keys of receipts: whoever has a receipt's key sees its prompt and answer, and nobody else does.
//!
//! A key goes out with its answer and is kept nowhere: it is the keyed hash of the receipt's identifier, which is public,
//! under a secret of the state folder. So it is good for as long as the journal and that secret are.

use crate::keys;
use aria_primitives::H256;
use sp_crypto_hashing::blake2_256;
use std::{
	fs::{File, OpenOptions},
	io::{Error, ErrorKind, Read, Write},
	path::Path,
};

/// The secret's file in the state folder.
pub const FILE_NAME: &str = "receipts.key";
const PREFIX: &str = "rk-aria-";
const SECRET: usize = 32;
/// Keeps these hashes apart from any other use of the secret.
const CONTEXT: &[u8] = b"aria-receipt-key";

/// Makes the keys of a worker's receipts.
#[derive(Clone)]
pub struct ReceiptKeys([u8; SECRET]);

// The secret is nobody's business.
impl std::fmt::Debug for ReceiptKeys {
	fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
		f.write_str("ReceiptKeys")
	}
}

impl ReceiptKeys {
	/// Reads the secret of a state folder, which must exist; makes one where there is none.
	///
	/// # Errors
	///
	/// If the file can't be read or written, or is not 32 bytes long.
	pub fn open(dir: &Path) -> std::io::Result<Self> {
		let path = dir.join(FILE_NAME);
		let mut secret = Vec::new();
		match File::open(&path) {
			Ok(file) => {
				file.take(SECRET as u64 + 1).read_to_end(&mut secret)?;
				let secret = secret.try_into().map_err(|_| {
					let reason = "it is not 32 bytes long; restore it, or remove it: then no earlier receipt's key is good any more";
					Error::new(ErrorKind::InvalidData, reason)
				})?;
				Ok(Self(secret))
			}
			Err(error) if error.kind() == ErrorKind::NotFound => {
				let secret = rand::random();
				write(dir, &secret)?;
				Ok(Self(secret))
			}
			Err(error) => Err(error),
		}
	}

	/// The key of a receipt.
	pub fn key(&self, id: &H256) -> String {
		// BLAKE2 needs no HMAC: what follows the secret can't be extended.
		let bytes = [CONTEXT, &self.0, id.as_bytes()].concat();
		format!("{PREFIX}{}", hex::encode(blake2_256(&bytes)))
	}

	/// Whether this is the key of a receipt. Takes as long wherever a wrong key differs.
	pub fn fits(&self, id: &H256, key: &str) -> bool {
		keys::same(key, &self.key(id))
	}
}

/// Writes a new secret: whoever looks finds all of it or nothing.
fn write(dir: &Path, secret: &[u8; SECRET]) -> std::io::Result<()> {
	let new = dir.join(format!("{FILE_NAME}.new"));
	let mut options = OpenOptions::new();
	options.write(true).create(true).truncate(true);
	#[cfg(unix)]
	std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
	let mut file = options.open(&new)?;
	file.write_all(secret)?;
	file.sync_all()?;
	std::fs::rename(&new, dir.join(FILE_NAME))?;
	// The folder's entry must survive a crash as well.
	File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn keys_should_be_the_same_after_a_restart_and_differ_between_receipts_and_workers() {
		let dir = tempfile::tempdir().unwrap();
		let (one, two) = (H256::repeat_byte(1), H256::repeat_byte(2));
		let keys = ReceiptKeys::open(dir.path()).unwrap();
		let key = keys.key(&one);
		assert_eq!(key.len(), PREFIX.len() + 64);
		let again = ReceiptKeys::open(dir.path()).unwrap();
		assert!(again.fits(&one, &key));
		assert!(!again.fits(&two, &key));
		for wrong in ["", &key[1..], &format!("{key}0"), &key.to_uppercase()] {
			assert!(!again.fits(&one, wrong), "{wrong}");
		}
		let other = tempfile::tempdir().unwrap();
		assert!(!ReceiptKeys::open(other.path()).unwrap().fits(&one, &key));
		assert_eq!(format!("{keys:?}"), "ReceiptKeys");
	}

	#[test]
	fn secret_should_be_its_owners_alone_and_whole() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join(FILE_NAME);
		ReceiptKeys::open(dir.path()).unwrap();
		#[cfg(unix)]
		{
			use std::os::unix::fs::PermissionsExt;
			let mode = std::fs::metadata(&path).unwrap().permissions().mode();
			assert_eq!(mode & 0o777, 0o600);
		}
		for damage in [31, 33] {
			std::fs::write(&path, vec![1; damage]).unwrap();
			let error = ReceiptKeys::open(dir.path()).unwrap_err();
			assert_eq!(error.kind(), ErrorKind::InvalidData);
			assert_eq!(std::fs::read(&path).unwrap().len(), damage, "left as it is");
		}
	}
}
