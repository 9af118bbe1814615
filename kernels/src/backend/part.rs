//! What a thread has to do in a linear layer.

use crate::{pool::Disjoint, ternary::TernaryMatrix};
use std::ops::Range;

/// Panels of a matrix for one thread, and the whole output.
pub(super) struct Part<'a, 'b> {
	pub(super) w: &'a TernaryMatrix,
	pub(super) out: &'a Disjoint<'b, f32>,
	pub(super) panels: Range<usize>,
}

impl Part<'_, '_> {
	/// Whether the weights of both are stored and scaled alike, so that one [`Way`](super::way::Way) is for both.
	pub(super) fn is_like(&self, other: &Self) -> bool {
		self.w.packing() == other.w.packing() && self.has_one_scale() == other.has_one_scale()
	}

	/// Whether the matrix has one scale, rather than one for each block of columns.
	pub(super) fn has_one_scale(&self) -> bool {
		self.w.blocks().is_none()
	}
}

/// The parts of matrices and their outputs that `range` has, of all their panels one matrix after the other.
pub(super) fn parts<'a, 'b>(
	matrices: &'a [(&'a TernaryMatrix, Disjoint<'b, f32>)],
	range: Range<usize>,
) -> Vec<Part<'a, 'b>> {
	let mut skipped = 0;
	let parts = matrices.iter().map(|(w, out)| {
		let here = range.start.max(skipped)..range.end.min(skipped + w.panels());
		let panels = here.start - skipped..here.end.saturating_sub(skipped);
		skipped += w.panels();
		Part { w, out, panels }
	});
	parts.filter(|part| !part.panels.is_empty()).collect()
}

/// Each panel of the parts.
#[cfg(target_arch = "x86_64")]
pub(super) fn each_panel<'p, 'a, 'b>(parts: &'p [Part<'a, 'b>]) -> Vec<(&'p Part<'a, 'b>, usize)> {
	let panels = |part: &'p Part<'a, 'b>| part.panels.clone().map(move |panel| (part, panel));
	parts.iter().flat_map(panels).collect()
}
