//! Depthwise convolution: sixteen channels at once.
//!
//! The products of two taps and their sum are numbers of 16 bits when no weight is -128, which halves the
//! additions of 32 bits.

use crate::arch::taps::Taps;

/// Channels of a block.
pub const BLOCK: usize = 16;

/// Bias of each channel of a block, then multiplier and shift of each four. Right shifts are negative numbers.
pub type Table = [[i32; 4]; 12];

/// The channels of a block in the order in which its table has them: how two widenings of every other element
/// leave them.
pub const ORDER: [[usize; 4]; 4] = [[0, 4, 8, 12], [2, 6, 10, 14], [1, 5, 9, 13], [3, 7, 11, 15]];

/// What is the same for all places of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// [`BLOCK`] channels for each tap, block after block, none of them -128; in the last block there may be more
    /// channels than are computed. Where the channels go into a block several times, they are there so often.
    pub weights: &'a [i8],
    /// An element for each block; right shifts are 1 to 31, otherwise as `multiply_by_quantized_multiplier` takes
    /// them.
    pub table: &'a [Table],
    /// Zero point of the output.
    pub zero_point: i32,
}

impl Layer<'_> {
    /// Whether there are weights and a table for so many channels and taps, neither of which is 0.
    #[inline(always)]
    fn is_complete(&self, channels: usize, taps: usize) -> bool {
        let blocks = channels.div_ceil(BLOCK);
        let needed = blocks.checked_mul(BLOCK).and_then(|channels| channels.checked_mul(taps));
        channels > 0
            && taps > 0
            && needed.is_some_and(|needed| needed <= self.weights.len())
            && blocks <= self.table.len()
    }
}

/// Neighboring places whose channels are computed.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// How many.
    pub number: usize,
    /// Elements from the first channel of a place to that of the next one.
    pub step: usize,
    /// Channels of a place.
    pub channels: usize,
}

/// Computes the channels of some places, side by side.
///
/// Nothing is written unless taps, weights, table and room for the outputs are there.
#[inline(always)]
pub fn outputs(taps: &Taps<'_, i8>, places: Places, layer: &Layer<'_>, output: &mut [i8]) {
    let (_, count, shortest) = taps.parts();
    let Places { number, step, channels } = places;
    let enough_room = number.checked_mul(channels).is_some_and(|needed| needed <= output.len());
    let end = number.wrapping_sub(1).checked_mul(step).and_then(|last| last.checked_add(channels));
    let enough_inputs = end.is_some_and(|end| end <= shortest);
    if number > 0 && enough_room && enough_inputs && layer.is_complete(channels, count) {
        any_window(taps, places, layer, output);
    }
}

/// As [`outputs`], for taps that begin `apart` elements from one to the next.
#[inline(always)]
pub fn line(
    values: &[i8],
    taps: usize,
    apart: usize,
    places: Places,
    layer: &Layer<'_>,
    output: &mut [i8],
) {
    let Places { number, step, channels } = places;
    let enough_room = number.checked_mul(channels).is_some_and(|needed| needed <= output.len());
    let end = (|| {
        let last = number.wrapping_sub(1).checked_mul(step)?;
        let last_tap = taps.wrapping_sub(1).checked_mul(apart)?;
        last.checked_add(last_tap)?.checked_add(channels)
    })();
    let enough_inputs = end.is_some_and(|end| end <= values.len());
    if number > 0 && enough_room && enough_inputs && layer.is_complete(channels, taps) {
        line_window(values, taps, apart, places, layer, output);
    }
}

/// An image, and what is around it.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Rows, columns, channels.
    pub values: &'a [i8],
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Channels.
    pub channels: usize,
    /// The channels of every place around the image.
    pub padding: &'a [i8],
}

impl Image<'_> {
    /// Whether all elements are there, padding included.
    #[inline(always)]
    fn is_complete(&self) -> bool {
        let places = (self.height as usize).checked_mul(self.width as usize);
        let needed = places.and_then(|places| places.checked_mul(self.channels));
        needed.is_some_and(|needed| needed <= self.values.len())
            && self.channels <= self.padding.len()
    }
}

/// Windows of three rows and three columns: where the first one begins, wrapped when it is around the image.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Row and column of the first tap.
    pub first: [u32; 2],
    /// Rows and columns from one tap to the next.
    pub dilation: [u32; 2],
    /// How many windows, one beside the other.
    pub number: u32,
    /// Columns from one to the next.
    pub stride: u32,
}

impl Windows {
    /// Whether all columns of all windows are in an image of this width, or there is one window.
    #[inline(always)]
    fn fit(&self, width: u32) -> bool {
        let reach = |from: u32, steps: u32, step: u32| from.checked_add(steps.checked_mul(step)?);
        let [_, column] = self.first;
        let [_, dilation] = self.dilation;
        let last = reach(column, self.number.wrapping_sub(1), self.stride)
            .and_then(|last| reach(last, 2, dilation));
        self.number == 1 || (self.number > 1 && last.is_some_and(|last| last < width))
    }
}

/// Computes all channels of windows of nine taps, side by side.
///
/// Nothing is written unless the image, weights, table and room for the outputs are there, and the columns of
/// several windows are in the image.
#[inline(always)]
pub fn three_by_three(image: &Image<'_>, windows: Windows, layer: &Layer<'_>, output: &mut [i8]) {
    let needed = (windows.number as usize).checked_mul(image.channels);
    if needed.is_some_and(|needed| needed <= output.len())
        && image.is_complete()
        && windows.fit(image.width)
        && layer.is_complete(image.channels, 9)
    {
        nine_taps(image, windows, layer, output);
    }
}

#[cfg(all(target_arch = "arm", feature = "helium"))]
mod instructions;
#[cfg(all(target_arch = "arm", feature = "helium"))]
use instructions::{any_window, line_window, nine_taps};
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
mod twin;
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
use twin::{any_window, line_window, nine_taps};
