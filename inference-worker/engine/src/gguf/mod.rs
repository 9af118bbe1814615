//! GGUF containers: metadata and tensor positions, every length checked against the file before it is used.
//!
//! Layout: ggml's `docs/gguf.md` (versions 2 and 3, little-endian). Tensors are not read here.

mod types;
mod write;

pub use types::TensorType;
pub use write::GgufWriter;

use aria_kernels::{I2Block, Q2Block};
use std::{collections::HashMap, io::Read};
use types::{Kind, kind};

/// Most metadata entries.
const MAX_ENTRIES: u64 = 65_536;
/// Most tensors.
const MAX_TENSORS: u64 = 65_536;
/// Longest metadata key or tensor name, bytes.
const MAX_NAME: u64 = 1024;
/// Longest metadata string, bytes.
const MAX_STRING: u64 = 4 << 20;
/// Most elements of a metadata array.
const MAX_ARRAY: u64 = 4 << 20;
/// Most elements of all metadata arrays.
const MAX_ELEMENTS_READ: u64 = 16 << 20;
/// Most elements of a tensor.
const MAX_ELEMENTS: u64 = 1 << 40;

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GgufError {
	/// Not this format at all.
	#[error("not a GGUF file: it starts with {0:02x?}")]
	Magic([u8; 4]),
	/// What Git leaves in the place of a large file.
	#[error(
		"not a GGUF file, but a Git LFS pointer to one: fetch the file itself, with `git lfs pull` or from the hub"
	)]
	Pointer,
	/// The other byte order.
	#[error("the GGUF file is big-endian, which is not supported; get the little-endian one")]
	BigEndian,
	/// Another version of the format.
	#[error(
		"GGUF version {0} is not supported (2 and 3 are); convert the file with a current converter"
	)]
	Version(u32),
	/// The file ends early.
	#[error("the file ends inside {what} at byte {at} of {len}: the download is incomplete")]
	Truncated {
		/// What was being read.
		what: &'static str,
		/// Where.
		at: u64,
		/// Length of the file.
		len: u64,
	},
	/// A count or length beyond the limit: the file is damaged, or larger than any real one.
	#[error("{what} is {value}, and at most {limit} is supported")]
	Limit {
		/// What is too large.
		what: &'static str,
		/// The value.
		value: u64,
		/// The limit.
		limit: u64,
	},
	/// Text that is not UTF-8.
	#[error("{0} is not UTF-8")]
	Utf8(&'static str),
	/// A metadata type that does not exist, or an array of arrays.
	#[error("metadata {key:?} has the unknown type {kind}")]
	ValueType {
		/// The key.
		key: String,
		/// The type number.
		kind: u32,
	},
	/// Two entries or tensors of one name.
	#[error("{0:?} occurs twice")]
	Duplicate(String),
	/// An alignment that is not a power of two.
	#[error("alignment {0} is not a power of two up to 65536")]
	Alignment(u64),
	/// An alignment that is not a whole number, or negative.
	#[error("metadata \"general.alignment\" is not a number that can be an alignment")]
	AlignmentType,
	/// A tensor stored in a way that is not supported.
	#[error("tensor {name:?} is stored as type {id}, {kind}")]
	TensorType {
		/// The tensor.
		name: String,
		/// Number of the type.
		id: u32,
		/// What that is.
		kind: &'static str,
	},
	/// The file can't be read.
	#[error("the file can't be read: {0}")]
	Read(String),
	/// Dimensions that make no sense.
	#[error("tensor {0:?} has unusable dimensions")]
	Shape(String),
	/// A tensor outside the file, misaligned or on top of another.
	#[error("tensor {name:?} {problem}")]
	Position {
		/// The tensor.
		name: String,
		/// What is wrong.
		problem: &'static str,
	},
}

/// A metadata value; numbers are widened.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
	/// Any integer.
	Int(i128),
	/// Any float.
	Float(f64),
	/// A truth value.
	Bool(bool),
	/// Text.
	String(String),
	/// Texts.
	Strings(Vec<String>),
	/// What no key that means anything here has: text that is not UTF-8, or a list with a number above `i64::MAX`.
	Other,
	/// Numbers that are whole.
	Ints(Vec<i64>),
	/// Floats.
	Floats(Vec<f32>),
	/// Truth values.
	Bools(Vec<bool>),
}

/// A tensor's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
	/// Its name.
	pub name: String,
	/// Dimensions, fastest first: a matrix is `[columns, rows]`.
	pub dims: Vec<u64>,
	/// How it is stored.
	pub kind: TensorType,
	/// Where it starts in the file, bytes.
	pub start: u64,
	/// Its length, bytes.
	pub len: u64,
}

/// A parsed container.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf {
	/// Metadata by key.
	pub metadata: HashMap<String, Value>,
	/// Tensors by name.
	pub tensors: HashMap<String, TensorInfo>,
}

struct Reader<R> {
	input: R,
	at: u64,
	len: u64,
	/// Array elements that may still be read: in memory they take up to eight times the file's bytes.
	elements: u64,
}

impl<R: Read> Reader<R> {
	/// The next bytes; `out` is no longer than a limit that the caller checked.
	fn fill(&mut self, out: &mut [u8], what: &'static str) -> Result<(), GgufError> {
		if out.len() as u64 > self.len - self.at {
			return Err(self.truncated(what));
		}
		self.input
			.read_exact(out)
			.map_err(|error| GgufError::Read(error.to_string()))?;
		self.at += out.len() as u64;
		Ok(())
	}

	fn truncated(&self, what: &'static str) -> GgufError {
		GgufError::Truncated {
			what,
			at: self.at,
			len: self.len,
		}
	}

	fn take(&mut self, len: u64, what: &'static str) -> Result<Vec<u8>, GgufError> {
		if len > self.len - self.at {
			return Err(self.truncated(what));
		}
		let mut out = vec![0; len as usize];
		self.fill(&mut out, what)?;
		Ok(out)
	}

	fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], GgufError> {
		let mut out = [0; N];
		self.fill(&mut out, what)?;
		Ok(out)
	}

	fn u32(&mut self, what: &'static str) -> Result<u32, GgufError> {
		Ok(u32::from_le_bytes(self.array(what)?))
	}

	fn u64(&mut self, what: &'static str) -> Result<u64, GgufError> {
		Ok(u64::from_le_bytes(self.array(what)?))
	}

	fn count(&mut self, what: &'static str, limit: u64) -> Result<u64, GgufError> {
		let value = self.u64(what)?;
		if value > limit {
			return Err(GgufError::Limit { what, value, limit });
		}
		Ok(value)
	}

	fn name(&mut self, what: &'static str) -> Result<String, GgufError> {
		let len = self.count(what, MAX_NAME)?;
		let bytes = self.take(len, what)?;
		String::from_utf8(bytes).map_err(|_| GgufError::Utf8(what))
	}

	/// A metadata text; none if it is not UTF-8, as authors' names in old files are.
	fn text(&mut self) -> Result<Option<String>, GgufError> {
		let len = self.count("the length of a metadata text", MAX_STRING)?;
		let bytes = self.take(len, "a metadata text")?;
		Ok(String::from_utf8(bytes).ok())
	}

	fn int(&mut self, kind: u32) -> Result<Option<i128>, GgufError> {
		const WHAT: &str = "a metadata number";
		Ok(Some(match kind {
			0 => u8::from_le_bytes(self.array(WHAT)?).into(),
			1 => i8::from_le_bytes(self.array(WHAT)?).into(),
			2 => u16::from_le_bytes(self.array(WHAT)?).into(),
			3 => i16::from_le_bytes(self.array(WHAT)?).into(),
			4 => self.u32(WHAT)?.into(),
			5 => i32::from_le_bytes(self.array(WHAT)?).into(),
			10 => self.u64(WHAT)?.into(),
			11 => i64::from_le_bytes(self.array(WHAT)?).into(),
			_ => return Ok(None),
		}))
	}

	fn float(&mut self, kind: u32) -> Result<Option<f64>, GgufError> {
		Ok(match kind {
			6 => Some(f32::from_le_bytes(self.array("a metadata number")?).into()),
			12 => Some(f64::from_le_bytes(self.array("a metadata number")?)),
			_ => None,
		})
	}

	fn value(&mut self, key: &str, kind: u32) -> Result<Value, GgufError> {
		if let Some(int) = self.int(kind)? {
			return Ok(Value::Int(int));
		}
		if let Some(float) = self.float(kind)? {
			return Ok(Value::Float(float));
		}
		let unknown = |kind| GgufError::ValueType {
			key: key.to_owned(),
			kind,
		};
		match kind {
			7 => Ok(Value::Bool(self.array::<1>("a metadata flag")?[0] != 0)),
			8 => Ok(self.text()?.map_or(Value::Other, Value::String)),
			9 => {
				let inner = self.u32("an array's type")?;
				let count = self.count("an array's length", MAX_ARRAY)?;
				// Every element takes at least a byte (a text eight), so a lying count can't reserve more than the file.
				let width = if inner == 8 { 8 } else { 1 };
				if count * width > self.len - self.at {
					return Err(self.truncated("a metadata array"));
				}
				self.elements = self.elements.checked_sub(count).ok_or(GgufError::Limit {
					what: "the number of array elements",
					value: count,
					limit: MAX_ELEMENTS_READ,
				})?;
				match inner {
					0..=5 | 10 | 11 => {
						let mut fit = true;
						let ints = (0..count).map(|_| {
							let int = i64::try_from(self.int(inner)?.unwrap_or_default());
							fit &= int.is_ok();
							Ok(int.unwrap_or_default())
						});
						let ints = ints.collect::<Result<Vec<_>, _>>()?;
						Ok(if fit { Value::Ints(ints) } else { Value::Other })
					}
					6 | 12 => (0..count)
						.map(|_| Ok(self.float(inner)?.unwrap_or_default() as f32))
						.collect::<Result<_, _>>()
						.map(Value::Floats),
					7 => (0..count)
						.map(|_| Ok(self.array::<1>("a metadata flag")?[0] != 0))
						.collect::<Result<_, _>>()
						.map(Value::Bools),
					8 => (0..count)
						.map(|_| self.text())
						.collect::<Result<Vec<_>, _>>()
						.map(|texts| texts.into_iter().collect::<Option<_>>())
						.map(|texts| texts.map_or(Value::Other, Value::Strings)),
					_ => Err(unknown(inner)),
				}
			}
			_ => Err(unknown(kind)),
		}
	}
}

impl Gguf {
	/// Parses the container in `bytes`, the whole file.
	pub fn parse(bytes: &[u8]) -> Result<Self, GgufError> {
		Self::read(bytes, bytes.len() as u64, I2Block::B128)
	}

	/// Parses the head of a file of `len` bytes. Files do not say which blocks I2_S tensors have.
	pub fn read(input: impl Read, len: u64, i2_block: I2Block) -> Result<Self, GgufError> {
		let mut reader = Reader {
			input,
			at: 0,
			len,
			elements: MAX_ELEMENTS_READ,
		};
		let magic = reader.array::<4>("the header")?;
		match &magic {
			b"GGUF" => {}
			b"vers" => return Err(GgufError::Pointer),
			_ => return Err(GgufError::Magic(magic)),
		}
		let version = reader.u32("the header")?;
		if (2..=3).contains(&version.swap_bytes()) {
			return Err(GgufError::BigEndian);
		}
		if !(2..=3).contains(&version) {
			return Err(GgufError::Version(version));
		}
		let tensor_count = reader.count("the number of tensors", MAX_TENSORS)?;
		let entry_count = reader.count("the number of metadata entries", MAX_ENTRIES)?;
		let mut metadata = HashMap::new();
		for _ in 0..entry_count {
			let key = reader.name("a metadata key")?;
			let kind = reader.u32("a metadata type")?;
			let value = reader.value(&key, kind)?;
			if metadata.insert(key.clone(), value).is_some() {
				return Err(GgufError::Duplicate(key));
			}
		}
		let alignment = match metadata.get("general.alignment") {
			None => 32,
			Some(Value::Int(value)) => {
				u64::try_from(*value).map_err(|_| GgufError::AlignmentType)?
			}
			Some(_) => return Err(GgufError::AlignmentType),
		};
		if !alignment.is_power_of_two() || alignment > 65_536 {
			return Err(GgufError::Alignment(alignment));
		}
		let mut infos = Vec::new();
		for _ in 0..tensor_count {
			infos.push(Self::tensor_info(&mut reader, i2_block)?);
		}
		let data = reader.at.next_multiple_of(alignment);
		Self::settle_q2(&mut infos, data, alignment, len)?;
		Self::place(&mut infos, data, alignment, len)?;
		let mut tensors = HashMap::new();
		for info in infos {
			let name = info.name.clone();
			if tensors.insert(name.clone(), info).is_some() {
				return Err(GgufError::Duplicate(name));
			}
		}
		Ok(Self { metadata, tensors })
	}

	fn tensor_info(
		reader: &mut Reader<impl Read>,
		i2_block: I2Block,
	) -> Result<TensorInfo, GgufError> {
		let name = reader.name("a tensor's name")?;
		let dim_count = reader.u32("a tensor's dimensions")?;
		if !(1..=4).contains(&dim_count) {
			return Err(GgufError::Shape(name));
		}
		let dims = (0..dim_count)
			.map(|_| reader.u64("a tensor's dimensions"))
			.collect::<Result<Vec<_>, _>>()?;
		let id = reader.u32("a tensor's type")?;
		let start = reader.u64("a tensor's offset")?;
		let kind = match kind(id, i2_block) {
			Kind::Known(kind) => kind,
			// Until `settle_q2` knows better.
			Kind::Q2 => TensorType::Q2_0(Q2Block::B64),
			Kind::Unsupported(kind) => return Err(GgufError::TensorType { name, id, kind }),
		};
		let elements = dims
			.iter()
			.try_fold(1u64, |product, dim| product.checked_mul(*dim))
			.filter(|product| (1..=MAX_ELEMENTS).contains(product));
		let Some(len) = elements.and_then(|elements| kind.bytes(elements)) else {
			return Err(GgufError::Shape(name));
		};
		Ok(TensorInfo {
			name,
			dims,
			kind,
			start,
			len,
		})
	}

	/// Finds the blocks of Q2_0 tensors: those with which every such tensor ends where the next one begins, or the file.
	fn settle_q2(
		infos: &mut [TensorInfo],
		data: u64,
		alignment: u64,
		file_len: u64,
	) -> Result<(), GgufError> {
		let is_q2 = |info: &&TensorInfo| info.kind == TensorType::Q2_0(Q2Block::B64);
		if !infos.iter().any(|info| is_q2(&info)) {
			return Ok(());
		}
		let mut starts: Vec<u64> = infos.iter().map(|info| info.start).collect();
		starts.sort_unstable();
		let end = |info: &TensorInfo| {
			let next = starts.partition_point(|start| *start <= info.start);
			let last = file_len.saturating_sub(data);
			starts.get(next).copied().unwrap_or(last)
		};
		let fits = |block| {
			infos.iter().filter(is_q2).all(|info| {
				let elements = info.dims.iter().product();
				TensorType::Q2_0(block).bytes(elements).is_some_and(|len| {
					let end = end(info);
					let stop = info.start.saturating_add(len);
					stop <= end && end - stop < alignment
				})
			})
		};
		let block = match (fits(Q2Block::B64), fits(Q2Block::B128)) {
			(true, false) => return Ok(()),
			(false, true) => Q2Block::B128,
			// Neither, or both: closed.
			(false, false) | (true, true) => {
				let first = infos.iter().find(is_q2);
				return first.map_or(Ok(()), |info| {
					Err(GgufError::Position {
						name: info.name.clone(),
						problem: "is Q2_0, but its place does not tell whether blocks have 64 or 128 weights",
					})
				});
			}
		};
		for info in infos.iter_mut().filter(|info| is_q2(&&**info)) {
			info.kind = TensorType::Q2_0(block);
			let elements = info.dims.iter().product();
			info.len = info.kind.bytes(elements).unwrap_or(0);
		}
		Ok(())
	}

	/// Turns offsets into positions in the file and checks them.
	fn place(
		infos: &mut [TensorInfo],
		data: u64,
		alignment: u64,
		file_len: u64,
	) -> Result<(), GgufError> {
		let fail = |info: &TensorInfo, problem| {
			Err(GgufError::Position {
				name: info.name.clone(),
				problem,
			})
		};
		for info in infos.iter_mut() {
			if info.start % alignment != 0 {
				return fail(info, "is not aligned: the file is damaged");
			}
			let Some(start) = data.checked_add(info.start) else {
				return fail(info, "lies outside the file: the file is damaged");
			};
			info.start = start;
			if start.checked_add(info.len).is_none_or(|end| end > file_len) {
				return fail(
					info,
					"reaches past the end of the file: the download is incomplete",
				);
			}
		}
		let mut order: Vec<&TensorInfo> = infos.iter().collect();
		order.sort_by_key(|info| info.start);
		for pair in order.windows(2) {
			if let [before, after] = pair
				&& before.start + before.len > after.start
			{
				return fail(after, "overlaps another tensor: the file is damaged");
			}
		}
		Ok(())
	}

	/// A whole number that is not negative.
	pub fn int(&self, key: &str) -> Option<u64> {
		match self.metadata.get(key)? {
			Value::Int(value) => u64::try_from(*value).ok(),
			_ => None,
		}
	}

	/// A number.
	pub fn float(&self, key: &str) -> Option<f64> {
		match self.metadata.get(key)? {
			Value::Float(value) => Some(*value),
			Value::Int(value) => Some(*value as f64),
			_ => None,
		}
	}

	/// A truth value.
	pub fn bool(&self, key: &str) -> Option<bool> {
		match self.metadata.get(key)? {
			Value::Bool(value) => Some(*value),
			_ => None,
		}
	}

	/// A text.
	pub fn text(&self, key: &str) -> Option<&str> {
		match self.metadata.get(key)? {
			Value::String(value) => Some(value),
			_ => None,
		}
	}

	/// A list of texts.
	pub fn texts(&self, key: &str) -> Option<&[String]> {
		match self.metadata.get(key)? {
			Value::Strings(values) => Some(values),
			_ => None,
		}
	}

	/// A list of whole numbers.
	pub fn ints(&self, key: &str) -> Option<&[i64]> {
		match self.metadata.get(key)? {
			Value::Ints(values) => Some(values),
			_ => None,
		}
	}
}
