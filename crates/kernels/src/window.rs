//! The geometry of sliding windows: convolutions and pooling share it.

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

/// A row or column as an offset into a slice: one that wrapped, in the padding before the input, wraps
/// at the width of a pointer too.
#[inline(always)]
pub(crate) fn offset(place: u32) -> usize {
    place.cast_signed() as isize as usize
}
