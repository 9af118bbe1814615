//! Arguments of calls, as templates see them.

use minijinja::{
	Value,
	value::{DynObject, Enumerator, Object},
};
use std::{fmt, sync::Arc};

/// Arguments of a call: an object that is JSON where it is printed.
#[derive(Debug)]
pub(super) struct Arguments {
	pub(super) object: DynObject,
	pub(super) text: String,
}

impl Object for Arguments {
	fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
		self.object.get_value(key)
	}

	fn enumerate(self: &Arc<Self>) -> Enumerator {
		self.object.enumerate()
	}

	fn render(self: &Arc<Self>, to: &mut fmt::Formatter<'_>) -> fmt::Result {
		to.write_str(&self.text)
	}
}
