//! Depthwise convolution by [`crate::arch::helium::depthwise`]: sixteen channels at once.

use super::{Place, Shape};
use crate::Window;
use crate::arch::helium::depthwise::{self, BLOCK, Places, Table};
use crate::arch::taps::Taps;
use crate::chunks::Chunks;
use crate::dot::RequantizeShiftI8;

kernel! {
    /// As [`super::DepthwiseConv2dI8`] for at most [`crate::arch::taps::TAPS`] taps; weights and table as
    /// [`crate::arch::helium::depthwise`] takes them, repeated in a block where its channels are so often there.
    depthwise_conv2d_blocks_i8 version 1
    params DepthwiseConv2dBlocksI8 {
        /// How the window slides.
        window: Window,
        /// Channels of input and output.
        channels: u32,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    operands (
        input input: i8,
        constant weights: i8,
        constant words: i32,
        constant padding: i8,
        output output: i8,
    )
}

#[inline(always)]
fn depthwise_conv2d_blocks_i8(
    p: &DepthwiseConv2dBlocksI8,
    input: &[i8],
    weights: &[i8],
    words: &[i32],
    padding: &[i8],
    output: &mut [i8],
) {
    let finish = RequantizeShiftI8::new(p.output_zero_point, p.min, p.max);
    let (words, _) = words.as_chunks();
    let (table, _) = words.as_chunks();
    let layer = Layer { weights, table, zero_point: p.output_zero_point };
    Shape { window: &p.window, channels: (p.channels as usize).max(1), padding }
        .convolve_blocks(input, &layer, output);
    finish.narrow(output);
}

/// What is the same for all output places.
struct Layer<'a> {
    weights: &'a [i8],
    table: &'a [Table],
    zero_point: i32,
}

impl Layer<'_> {
    #[inline(always)]
    fn outputs(&self, taps: &Taps<'_, i8>, places: Places, output: &mut [i8]) {
        depthwise::outputs(taps, places, self.weights, self.table, output, self.zero_point);
    }
}

impl<'a> Shape<'a, i8> {
    #[inline(never)]
    fn convolve_blocks(&self, mut input: &'a [i8], layer: &Layer<'_>, output: &mut [i8]) {
        let window = self.window;
        let image_len = (window.in_height as usize)
            .wrapping_mul(window.in_width as usize)
            .wrapping_mul(self.channels);
        let row_len = (window.out_width as usize).wrapping_mul(self.channels);
        let out_len = (window.out_height as usize).wrapping_mul(row_len);
        let mut taps = Taps::new();
        for out_image in output.whole_chunks_mut(out_len.max(1)) {
            let Some((image, later)) = input.split_at_checked(image_len) else { return };
            input = later;
            let mut row = 0u32.wrapping_sub(window.pad_top);
            for out_row in out_image.whole_chunks_mut(row_len.max(1)) {
                let rows_inside = window.has_rows(row);
                let mut left = out_row;
                let mut column = 0u32.wrapping_sub(window.pad_left);
                while left.len() >= self.channels {
                    let inside = if rows_inside { self.places_inside(column, left.len()) } else { 0 };
                    let number = inside.max(1);
                    let len = (number as usize).wrapping_mul(self.channels);
                    let (now, later) = left.split_at_mut_checked(len).unwrap_or_default();
                    left = later;
                    self.find(Place { image, row, column }, 0, &mut taps);
                    self.neighbors(&taps, number as usize, layer, now);
                    column = column.wrapping_add(window.stride_width.wrapping_mul(number));
                }
                row = row.wrapping_add(window.stride_height);
            }
        }
    }

    /// How many places from this column on have all their columns in the input, of those that an output of this
    /// length has.
    #[inline(always)]
    fn places_inside(&self, mut column: u32, mut left: usize) -> u32 {
        let mut number = 0u32;
        while left >= self.channels && self.window.has_columns(column) {
            left = left.wrapping_sub(self.channels);
            column = column.wrapping_add(self.window.stride_width);
            number = number.wrapping_add(1);
        }
        number
    }

    /// The outputs of neighboring places, the first of which has these taps.
    #[inline(always)]
    fn neighbors(&self, taps: &Taps<'_, i8>, number: usize, layer: &Layer<'_>, output: &mut [i8]) {
        let channels = self.channels;
        let step = (self.window.stride_width as usize).wrapping_mul(channels);
        // Places without a gap between them are one place with more channels: the binary logarithm of how many.
        let together: u32 = match channels {
            1 => 4,
            2 => 3,
            4 => 2,
            8 => 1,
            _ => 0,
        };
        let together = if step == channels { together } else { 0 };
        let wide = if together > 0 { number >> together } else { 0 };
        let at = wide.wrapping_mul(BLOCK);
        let (now, rest) = output.split_at_mut_checked(at).unwrap_or_default();
        if wide > 0 {
            let places = Places { number: wide, at: 0, step: BLOCK, channels: BLOCK };
            layer.outputs(taps, places, now);
        }
        let number = number.wrapping_sub(wide << together);
        layer.outputs(taps, Places { number, at, step, channels }, rest);
    }
}
