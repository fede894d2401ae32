//! The geometry of sliding windows: convolutions and pooling share it.

use core::ops::Range;

crate::params! {
    /// How a window slides over an image. Lengths in elements of the spatial grid, shape NHWC.
    Window {
        /// Input rows.
        in_height: u32,
        /// Input columns.
        in_width: u32,
        /// Output rows.
        out_height: u32,
        /// Output columns.
        out_width: u32,
        /// Window rows.
        height: u32,
        /// Window columns.
        width: u32,
        /// Rows from one window to the next.
        stride_height: u32,
        /// Columns from one window to the next.
        stride_width: u32,
        /// Rows from one tap of a window to the next.
        dilation_height: u32,
        /// Columns from one tap of a window to the next.
        dilation_width: u32,
        /// Rows of padding above the input.
        pad_top: u32,
        /// Columns of padding left of the input.
        pad_left: u32,
    }
}

impl Window {
    /// Whether a window whose first column is this one, wrapped where it is in the padding, has all its columns
    /// in the input.
    #[inline(always)]
    pub(crate) fn has_columns(&self, first: u32) -> bool {
        inside(first, self.width, self.dilation_width, self.in_width)
    }

    /// How many places of a row begin before the input.
    #[inline(always)]
    pub(crate) fn places_before(&self) -> u32 {
        let (mut number, mut first) = (0u32, 0u32);
        while number < self.out_width && first < self.pad_left {
            first = first.wrapping_add(self.stride_width);
            number = number.wrapping_add(1);
        }
        number
    }

    /// How many places of a row, from this one on, have all their columns in the input.
    #[inline(always)]
    pub(crate) fn places_inside(&self, first: u32) -> u32 {
        let mut number = 0u32;
        let mut column = first.wrapping_mul(self.stride_width).wrapping_sub(self.pad_left);
        while first.wrapping_add(number) < self.out_width && self.has_columns(column) {
            column = column.wrapping_add(self.stride_width);
            number = number.wrapping_add(1);
        }
        number
    }

    /// As [`Window::has_columns`], for rows of an input that has so many.
    #[inline(always)]
    pub(crate) fn has_rows(&self, first: u32, in_height: u32) -> bool {
        inside(first, self.height, self.dilation_height, in_height)
    }

    /// The rows that a window reads of an input that has so many, from the first to the last, with those between
    /// its taps; its own first row has wrapped where it is in the padding. Where it reads none, the range is empty.
    #[inline(always)]
    pub(crate) fn rows_read(&self, first: u32, in_height: u32) -> Range<u32> {
        let reach = self.height.wrapping_sub(1).wrapping_mul(self.dilation_height);
        let end = first.wrapping_add(reach).wrapping_add(1);
        let inside = |row: u32| row.cast_signed().max(0).cast_unsigned().min(in_height);
        inside(first)..inside(end)
    }
}

/// How many of so many taps from `first` on, which has wrapped where it is before the input, are before the
/// input, and how many in it. Those of a window behind it are all before.
#[inline(always)]
pub(crate) fn clip(first: u32, taps: u32, len: u32) -> (u32, u32) {
    let before = if first < len { 0 } else { 0u32.wrapping_sub(first).min(taps) };
    let left = taps.wrapping_sub(before);
    (before, left.min(len.saturating_sub(first.wrapping_add(before))))
}

/// Whether so many taps, the first one at `first`, are in an input of this length.
#[inline(always)]
fn inside(first: u32, taps: u32, dilation: u32, len: u32) -> bool {
    let last = taps.wrapping_sub(1).wrapping_mul(dilation);
    first < len && first.checked_add(last).is_some_and(|last| last < len)
}

/// A row or column as an offset into a slice: one that wrapped, in the padding before the input, wraps
/// at the width of a pointer too.
#[inline(always)]
pub(crate) fn offset(place: u32) -> usize {
    place.cast_signed() as isize as usize
}
