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

impl Window {
    /// The input row of a tap, or `None` in the padding.
    #[inline(always)]
    pub(crate) fn input_row(&self, out_row: u32, tap_row: u32) -> Option<usize> {
        let row = out_row
            .wrapping_mul(self.stride_height)
            .wrapping_add(tap_row.wrapping_mul(self.dilation_height))
            .wrapping_sub(self.pad_top);
        // A row above the input wraps to a huge number.
        if row < self.in_height { Some(row as usize) } else { None }
    }

    /// The input column of a tap, or `None` in the padding.
    #[inline(always)]
    pub(crate) fn input_column(&self, out_column: u32, tap_column: u32) -> Option<usize> {
        let column = out_column
            .wrapping_mul(self.stride_width)
            .wrapping_add(tap_column.wrapping_mul(self.dilation_width))
            .wrapping_sub(self.pad_left);
        if column < self.in_width { Some(column as usize) } else { None }
    }

    /// Whether the window with this first row and column lies wholly inside the input. A place in the
    /// padding before the input has wrapped.
    #[inline(always)]
    pub(crate) fn is_whole(&self, row: u32, column: u32) -> bool {
        let inside = |first: u32, taps: u32, dilation: u32, input: u32| {
            let last = first.wrapping_add(taps.wrapping_sub(1).wrapping_mul(dilation));
            first < input && last < input
        };
        inside(row, self.height, self.dilation_height, self.in_height)
            && inside(column, self.width, self.dilation_width, self.in_width)
    }

    /// The first input column of a whole window that lies inside the input, its taps adjacent.
    #[inline(always)]
    pub(crate) fn whole_columns(&self, out_column: u32) -> Option<usize> {
        let first = out_column.wrapping_mul(self.stride_width).wrapping_sub(self.pad_left);
        let end = first.wrapping_add(self.width);
        if self.dilation_width == 1 && first < self.in_width && end <= self.in_width {
            Some(first as usize)
        } else {
            None
        }
    }
}

/// A row or column as an offset into a slice: one that wrapped, in the padding before the input, wraps
/// at the width of a pointer too.
#[inline(always)]
pub(crate) fn offset(place: u32) -> usize {
    place.cast_signed() as isize as usize
}
