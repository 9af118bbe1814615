//! Openings on a stream: a length of four bytes, little endian, then SCALE. Nothing longer than the protocol's bounds
//! is read.

use aria_primitives::opening::{
	MAX_REQUEST_LEN, MAX_RESPONSE_LEN, OpeningRequest, OpeningResponse,
};
use codec::{DecodeAll, Encode};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future::BoxFuture};
use libp2p::{StreamProtocol, request_response};
use std::io;

/// Encodes requests and answers.
#[derive(Clone, Default)]
pub(super) struct Codec;

fn invalid(reason: &'static str) -> io::Error {
	io::Error::new(io::ErrorKind::InvalidData, reason)
}

async fn read<M: DecodeAll>(io: &mut (impl AsyncRead + Unpin), limit: u64) -> io::Result<M> {
	let mut length = [0; 4];
	io.read_exact(&mut length).await?;
	let length = u64::from(u32::from_le_bytes(length));
	if length > limit {
		return Err(invalid("message too long"));
	}
	// Memory grows with what arrives, not with what is announced.
	let mut bytes = Vec::new();
	io.take(length).read_to_end(&mut bytes).await?;
	if bytes.len() as u64 != length {
		return Err(io::ErrorKind::UnexpectedEof.into());
	}
	M::decode_all(&mut &bytes[..]).map_err(|_| invalid("not a message of this protocol"))
}

async fn write(
	io: &mut (impl AsyncWrite + Unpin),
	message: impl Encode,
	limit: u64,
) -> io::Result<()> {
	let bytes = message.encode();
	let length = u32::try_from(bytes.len()).map_err(|_| invalid("message too long"))?;
	if u64::from(length) > limit {
		return Err(invalid("message too long"));
	}
	io.write_all(&length.to_le_bytes()).await?;
	io.write_all(&bytes).await?;
	io.close().await
}

// The trait's methods are `async_trait`'s; these are the signatures it expands to.
impl request_response::Codec for Codec {
	type Protocol = StreamProtocol;
	type Request = OpeningRequest;
	type Response = OpeningResponse;

	fn read_request<'a, 'b, 'c, 'r, T>(
		&'a mut self,
		_: &'b StreamProtocol,
		io: &'c mut T,
	) -> BoxFuture<'r, io::Result<OpeningRequest>>
	where
		T: AsyncRead + Unpin + Send + 'r,
		'a: 'r,
		'b: 'r,
		'c: 'r,
		Self: 'r,
	{
		Box::pin(read(io, MAX_REQUEST_LEN))
	}

	fn read_response<'a, 'b, 'c, 'r, T>(
		&'a mut self,
		_: &'b StreamProtocol,
		io: &'c mut T,
	) -> BoxFuture<'r, io::Result<OpeningResponse>>
	where
		T: AsyncRead + Unpin + Send + 'r,
		'a: 'r,
		'b: 'r,
		'c: 'r,
		Self: 'r,
	{
		Box::pin(read(io, MAX_RESPONSE_LEN))
	}

	fn write_request<'a, 'b, 'c, 'r, T>(
		&'a mut self,
		_: &'b StreamProtocol,
		io: &'c mut T,
		request: OpeningRequest,
	) -> BoxFuture<'r, io::Result<()>>
	where
		T: AsyncWrite + Unpin + Send + 'r,
		'a: 'r,
		'b: 'r,
		'c: 'r,
		Self: 'r,
	{
		Box::pin(write(io, request, MAX_REQUEST_LEN))
	}

	fn write_response<'a, 'b, 'c, 'r, T>(
		&'a mut self,
		_: &'b StreamProtocol,
		io: &'c mut T,
		response: OpeningResponse,
	) -> BoxFuture<'r, io::Result<()>>
	where
		T: AsyncWrite + Unpin + Send + 'r,
		'a: 'r,
		'b: 'r,
		'c: 'r,
		Self: 'r,
	{
		Box::pin(write(io, response, MAX_RESPONSE_LEN))
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use aria_primitives::opening::OpeningError;
	use futures::{executor::block_on, io::Cursor};

	fn request() -> OpeningRequest {
		OpeningRequest {
			draw: 5,
			verifier: [7; 32].into(),
			signature: Default::default(),
		}
	}

	fn framed(bytes: &[u8]) -> Cursor<Vec<u8>> {
		let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
		framed.extend(bytes);
		Cursor::new(framed)
	}

	fn read_request(mut io: Cursor<Vec<u8>>) -> io::Result<OpeningRequest> {
		block_on(read(&mut io, MAX_REQUEST_LEN))
	}

	#[test]
	fn messages_should_survive_the_stream() {
		let mut io = Cursor::new(Vec::new());
		block_on(write(&mut io, request(), MAX_REQUEST_LEN)).unwrap();
		assert_eq!(
			read_request(Cursor::new(io.into_inner())).unwrap(),
			request()
		);
		let mut io = Cursor::new(Vec::new());
		let answer: OpeningResponse = Err(OpeningError::Gone);
		block_on(write(&mut io, answer.clone(), MAX_RESPONSE_LEN)).unwrap();
		let mut io = Cursor::new(io.into_inner());
		let read: OpeningResponse = block_on(read(&mut io, MAX_RESPONSE_LEN)).unwrap();
		assert_eq!(read, answer);
	}

	#[test]
	fn bad_lengths_and_bytes_should_be_refused() {
		let bytes = request().encode();
		for cut in 0..bytes.len() {
			assert!(read_request(framed(&bytes[..cut])).is_err());
			let mut torn = framed(&bytes).into_inner();
			torn.truncate(cut);
			assert!(read_request(Cursor::new(torn)).is_err());
		}
		let mut longer = bytes.clone();
		longer.push(0);
		assert!(read_request(framed(&longer)).is_err());
		let error = read_request(framed(&vec![0; MAX_REQUEST_LEN as usize + 1])).unwrap_err();
		assert_eq!(error.to_string(), "message too long");
		// An announced gigabyte is refused before it arrives.
		assert!(read_request(Cursor::new(vec![0xff; 4])).is_err());
		let mut io = Cursor::new(Vec::new());
		assert!(block_on(write(&mut io, vec![0u8; 2000], MAX_REQUEST_LEN)).is_err());
	}
}
