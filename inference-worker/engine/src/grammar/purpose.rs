//! Whose grammar it is.

/// What a grammar is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
	/// What a client asks for.
	Answer,
	/// A verdict on another worker's answer. There is more time for it: a machine must not find fault with what a faster
	/// one could do.
	Claim,
}
