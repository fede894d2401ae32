//! Depthwise convolution, one output channel for each input channel: TFLite DEPTHWISE_CONV_2D.

use crate::Window;
use crate::arch::rv32::Finish as SlidingFinish;
use crate::arch::rv32::sliding::{self, Sliding};
use crate::arch::taps::{TAPS, Taps};
use crate::chunks::Chunks;
use crate::dot::{
    self, ClampF32, Finish, GROUP, Interleaved, Lane, RequantizeAnyI8, RequantizeI8,
    RequantizeShiftI8,
};
use crate::rows::{Block, Blocks, Image, Images, Lines};
use crate::window::offset;

/// Declares the kernel for one form of the channel table.
macro_rules! depthwise_conv2d_i8 {
    ($(#[$doc:meta])* $name:ident $Params:ident $Finish:ident) => {
        kernel! {
            /// int8 depthwise convolution: output channel `c` sees input channel `c` only. Weights are
            /// rows of `height x width` elements, one row for each channel. `padding` holds the input's
            /// zero point once for each channel and stands for every tap outside the input.
            ///
            $(#[$doc])*
            $name version 1
            params $Params {
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
            images i8, (weights: i8, words: i32, padding: i8)
            distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize).distances::<i8>(&p.window, sizes)
        }

        #[inline(always)]
        fn $name(
            p: &$Params,
            images: Images<'_, i8>,
            weights: &[i8],
            words: &[i32],
            padding: &[i8],
        ) {
            let finish = $Finish::new(p.output_zero_point, p.min, p.max);
            let (words, _) = words.as_chunks();
            Shape { window: &p.window, channels: p.channels as usize, padding }
                .convolve(images, weights, words, &finish);
        }
    };
}

depthwise_conv2d_i8! {
    /// Weights and the table of channels are packed as [`crate::dot`] says; all multipliers are
    /// below one quarter.
    depthwise_conv2d_i8 DepthwiseConv2dI8 RequantizeI8
}

depthwise_conv2d_i8! {
    /// As [`DepthwiseConv2dI8`], for any multiplier.
    depthwise_conv2d_any_i8 DepthwiseConv2dAnyI8 RequantizeAnyI8
}

depthwise_conv2d_i8! {
    /// As [`DepthwiseConv2dI8`], for at most [`TAPS`] taps and for right shifts as [`RequantizeShiftI8`] takes
    /// them.
    depthwise_conv2d_shift_i8 DepthwiseConv2dShiftI8 RequantizeShiftI8
}

kernel! {
    /// As [`DepthwiseConv2dI8`], for the windows that [`Sliding`] takes, weights and table as
    /// [`sliding::depthwise`] does.
    depthwise_conv2d_sliding_i8 version 1
    params DepthwiseConv2dSlidingI8 {
        /// How the window slides.
        window: Window,
        /// Channels of input and output.
        channels: u32,
        /// Zero point of the input: what the padding holds.
        input_zero_point: i32,
        /// Zero point of the output, in the range of outputs.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    images i8, (weights: i8, words: i32)
    distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize)
        .distances::<i8>(&p.window, sizes)
}

#[inline(always)]
fn depthwise_conv2d_sliding_i8(
    p: &DepthwiseConv2dSlidingI8,
    images: Images<'_, i8>,
    weights: &[i8],
    words: &[i32],
) {
    let (window, channels) = (&p.window, p.channels as usize);
    let finish = SlidingFinish::new(p.output_zero_point, p.min, p.max);
    let (table, _) = words.as_chunks();
    let down = Sliding::down(window);
    let lines = Lines::new(window, channels, channels);
    let mut blocks = Blocks::new(images, window, lines);
    while let Some(Block { image, first, rows, output }) = blocks.next(window, lines) {
        // These rows of outputs are those of an image that has only the rows of input they read.
        let last = first.wrapping_add(rows.wrapping_sub(1).wrapping_mul(window.stride_height));
        let start = window.rows_read(first, image.height).start;
        let end = window.rows_read(last, image.height).end;
        let part = Window {
            in_height: end.wrapping_sub(start),
            out_height: rows,
            pad_top: start.wrapping_sub(first),
            ..*window
        };
        let Some(sliding) = Sliding::along(&part, channels, down) else { return };
        let [from, to] = [start, end].map(|row| (row as usize).wrapping_mul(lines.input));
        let values = image.values.get(from..to).unwrap_or(&[]);
        sliding::depthwise(&sliding, values, weights, table, output, p.input_zero_point, &finish);
    }
}

kernel! {
    /// f32 depthwise convolution; operands as in [`DepthwiseConv2dI8`], `padding` is zeros.
    depthwise_conv2d_f32 version 1
    params DepthwiseConv2dF32 {
        /// How the window slides.
        window: Window,
        /// Channels of input and output.
        channels: u32,
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32,
    }
    images f32, (weights: f32, bias: f32, padding: f32)
    distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize).distances::<f32>(&p.window, sizes)
}

#[inline(always)]
fn depthwise_conv2d_f32(
    p: &DepthwiseConv2dF32,
    images: Images<'_, f32>,
    weights: &[f32],
    bias: &[f32],
    padding: &[f32],
) {
    let finish = ClampF32 { min: p.min, max: p.max };
    Shape { window: &p.window, channels: p.channels as usize, padding }
        .convolve(images, weights, bias, &finish);
}

mod blocks;
pub use blocks::DepthwiseConv2dBlocksI8;

struct Shape<'a, T> {
    window: &'a Window,
    channels: usize,
    padding: &'a [T],
}

/// One output place: the rows it reads, and the first row and column of its window there, which have
/// wrapped when they are in the padding.
#[derive(Clone, Copy)]
struct Place<'a, T> {
    image: Image<'a, T>,
    row: u32,
    column: u32,
}

impl<T: Lane> Shape<'_, T> {
    #[inline(always)]
    fn convolve<F: Finish<T>>(
        &self,
        images: Images<'_, T>,
        weights: &[T],
        words: &[F::Words],
        finish: &F,
    ) {
        let window = self.window;
        let channels = self.channels.max(1);
        let step = (window.stride_width as usize).wrapping_mul(channels);
        let lines = Lines::new(window, channels, channels);
        let mut blocks = Blocks::new(images, window, lines);
        while let Some(Block { image, first: mut row, output, .. }) = blocks.next(window, lines) {
            let mut taps = Taps::new();
            for out_row in output.whole_chunks_mut(lines.output) {
                let rows_inside = window.has_rows(row, image.height);
                // Where the taps are that were found, in elements before this place; not to be used when one
                // of them is in the padding.
                let mut found: Option<usize> = None;
                let mut column = 0u32.wrapping_sub(window.pad_left);
                for pixel in out_row.whole_chunks_mut(channels) {
                    let place = Place { image, row, column };
                    let within = rows_inside && window.has_columns(column);
                    let at = match found {
                        Some(before) if within => before.wrapping_add(step),
                        _ => {
                            self.find(place, 0, &mut taps);
                            0
                        }
                    };
                    found = within.then_some(at);
                    self.outputs(place, &mut taps, at, weights, words, pixel, finish);
                    column = column.wrapping_add(window.stride_width);
                }
                row = row.wrapping_add(window.stride_height);
            }
        }
    }

    /// All channels of one output place, whose taps are those that were found, from element `at` on.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the operands of the kernel and what it keeps")]
    fn outputs<'a, F: Finish<T>>(
        &'a self,
        place: Place<'a, T>,
        taps: &mut Taps<'a, T>,
        at: usize,
        weights: &[T],
        words: &[F::Words],
        pixel: &mut [T],
        finish: &F,
    ) {
        let count = (self.window.height as usize).wrapping_mul(self.window.width as usize);
        let (groups, rest) = pixel.as_chunks_mut::<GROUP>();
        let channels = groups.len().wrapping_mul(GROUP);
        let one = |(taps, channel): &mut (&mut Taps<'a, T>, usize), mut sum, row: &[T]| {
            self.each_block(place, taps, count, row, |taps, block| {
                for (tap, &weight) in taps.iter().zip(block) {
                    if let Some(value) = tap.get(*channel) {
                        sum = T::accumulate(sum, value.widen(), weight);
                    }
                }
            });
            *channel = channel.wrapping_add(1);
            sum
        };
        if count <= TAPS && finish.depthwise(taps, at, weights, words, groups) {
            let weights = weights.get(channels.wrapping_mul(count)..).unwrap_or(&[]);
            let words = words.get(channels..).unwrap_or(&[]);
            let mut state = (taps, at.wrapping_add(channels));
            dot::each_row::<T, Interleaved<F>, _>(
                count, weights, words, rest, finish, &mut state, one,
            );
            return;
        }
        if F::FEW_TAPS {
            return;
        }
        let four = |(taps, channel): &mut (&mut Taps<'a, T>, usize), mut sums, rows: &[T]| {
            let (rows, _) = rows.as_chunks::<GROUP>();
            self.each_block(place, taps, count, rows, |taps, block| {
                add_group(&mut sums, taps, *channel, block);
            });
            *channel = channel.wrapping_add(GROUP);
            sums
        };
        let mut state = (taps, at);
        dot::each_group::<T, Interleaved<F>, _>(
            count, weights, words, pixel, finish, &mut state, four, one,
        );
    }

    /// Hands out the weights of one place in as many pieces as its taps are found in, with these taps.
    #[inline(always)]
    fn each_block<'a, W>(
        &'a self,
        place: Place<'a, T>,
        taps: &mut Taps<'a, T>,
        count: usize,
        mut weights: &[W],
        mut visit: impl FnMut(&Taps<'a, T>, &[W]),
    ) {
        let mut first = 0usize;
        while let Some((block, later)) = weights.split_at_checked(weights.len().min(TAPS)) {
            if count > TAPS {
                self.find(place, first, taps);
            }
            visit(taps, block);
            if later.is_empty() {
                break;
            }
            first = first.wrapping_add(TAPS);
            weights = later;
        }
    }

    /// Finds the inputs of the taps from number `first` on: all channels, and what follows in the row.
    #[inline(never)]
    fn find<'a>(&'a self, place: Place<'a, T>, first: usize, taps: &mut Taps<'a, T>) {
        let window = self.window;
        let step = (window.dilation_width as usize).wrapping_mul(self.channels);
        let row_len = (window.in_width as usize).wrapping_mul(self.channels);
        let mut skip = first;
        let mut row = place.row;
        taps.clear();
        for _ in 0..window.height {
            let start = offset(row).wrapping_mul(row_len);
            let line = if row < place.image.height {
                place.image.values.get(start..start.wrapping_add(row_len)).unwrap_or(&[])
            } else {
                &[]
            };
            let mut at = offset(place.column).wrapping_mul(self.channels);
            for _ in 0..window.width {
                if skip > 0 {
                    skip = skip.wrapping_sub(1);
                } else {
                    // A column in the padding lies outside of the row, whether it has wrapped or not.
                    taps.push(match line.get(at..) {
                        Some(values) if !values.is_empty() => values,
                        _ => self.padding,
                    });
                }
                at = at.wrapping_add(step);
            }
            row = row.wrapping_add(window.dilation_height);
        }
    }
}

/// Adds the products of four neighboring channels, from `channel` on, at some taps to their sums.
///
/// Not inlined: the loop needs every register of the smaller cores. Its three ways out keep LLVM from
/// unrolling it, for which there are no registers.
#[inline(never)]
fn add_group<T: Lane>(
    sums: &mut [T::Sum; GROUP],
    taps: &Taps<'_, T>,
    channel: usize,
    rows: &[[T; GROUP]],
) {
    let [mut s0, mut s1, mut s2, mut s3] = *sums;
    let mut taps = taps.iter();
    for [w0, w1, w2, w3] in rows {
        let Some(tap) = taps.next() else { break };
        let values = tap.get(channel..channel.wrapping_add(GROUP));
        let Some(&[x0, x1, x2, x3]) = values else { break };
        s0 = T::accumulate(s0, x0.widen(), *w0);
        s1 = T::accumulate(s1, x1.widen(), *w1);
        s2 = T::accumulate(s2, x2.widen(), *w2);
        s3 = T::accumulate(s3, x3.widen(), *w3);
    }
    *sums = [s0, s1, s2, s3];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, naive_sum, overlapping, requantize, shifts, tables, windows};
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn any_window_is_the_plain_sum(
            window in windows(),
            batches in 1usize..3,
            channels in prop_oneof![1usize..20, Just(8), Just(32)],
            seed: u64,
            zero: i8,
        ) {
            let image = (window.in_height * window.in_width) as usize * channels;
            let taps = (window.height * window.width) as usize;
            let out_places = (window.out_height * window.out_width) as usize;
            let input = bytes(seed, image * batches);
            // Some kernels take no weight of -128.
            let least = if seed % 2 == 0 { -127 } else { -128 };
            let rows: Vec<i8> = bytes(seed ^ 1, taps * channels).into_iter().map(|w| w.max(least)).collect();
            let [words, any] = tables(channels);
            let mut expected = Vec::new();
            let mut plain_sums = Vec::new();
            for batch in input.chunks_exact(image) {
                for place in 0..out_places {
                    for channel in 0..channels {
                        let sum = naive_sum(&window, batch, channels, place, |tap, value: Option<&[i8]>| {
                            let value = value.map_or(zero, |pixel| pixel[channel]);
                            i32::from(value) * i32::from(rows[channel * taps + tap])
                        });
                        // Whole numbers below 2^24 are exact in f32.
                        plain_sums.push((sum as f32 + channel as f32).clamp(-30_000.0, 20_000.0));
                        expected.push(requantize(sum, &any[channel * 3..], -5, -120, 100));
                    }
                }
            }
            let kernel = DepthwiseConv2dI8 {
                window,
                channels: channels as u32,
                output_zero_point: -5,
                min: -120,
                max: 100,
            };
            let weights = crate::testing::interleave(&rows, taps);
            let padding = std::vec![zero; channels];
            let mut output = std::vec![0; expected.len()];
            kernel.run(&input, &weights, &words, &padding, &mut output);
            prop_assert_eq!(&output, &expected);
            let first = &expected[..out_places * channels];
            let distances = Lines::new(&window, channels, channels)
                .distances::<i8>(&window, [image as u64, first.len() as u64])
                .unwrap();
            let both = overlapping(distances, &input[..image], first, |memory, from, to| {
                kernel.run_overlapping(memory, from, to, &weights, &words, &padding);
            });
            prop_assert_eq!(&both[0], first);
            prop_assert_eq!(&both[1], first);

            let DepthwiseConv2dI8 {
                window, channels, output_zero_point, min, max,
            } = kernel;
            let kernel = DepthwiseConv2dAnyI8 {
                window, channels, output_zero_point, min, max,
            };
            kernel.run(&input, &weights, &any, &padding, &mut output);
            prop_assert_eq!(&output, &expected);
            output.fill(0);
            DepthwiseConv2dShiftI8 { window, channels, output_zero_point, min, max }
                .run(&input, &weights, &shifts(&any), &padding, &mut output);
            prop_assert_eq!(&output, &expected);

            if Sliding::new(&window, channels as usize).is_some() {
                let kernel = DepthwiseConv2dSlidingI8 {
                    window, channels, input_zero_point: zero.into(), output_zero_point, min, max,
                };
                // Whatever the order of the weights: where the images lie changes nothing.
                let (input, words) = (&input[..image], shifts(&any));
                let mut apart = std::vec![0; first.len()];
                kernel.run(input, &rows, &words, &mut apart);
                for output in overlapping(distances, input, &apart, |memory, from, to| {
                    kernel.run_overlapping(memory, from, to, &rows, &words);
                }) {
                    prop_assert_eq!(&output, &apart);
                }
            }
            let (blocks, words) = crate::testing::blocks(&rows, taps, &any);
            if let Some(blocks) = blocks {
                let kernel =
                    DepthwiseConv2dBlocksI8 { window, channels, output_zero_point, min, max };
                output.fill(0);
                kernel.run(&input, &blocks, &words, &padding, &mut output);
                prop_assert_eq!(&output, &expected);
                for output in overlapping(distances, &input[..image], first, |memory, from, to| {
                    kernel.run_overlapping(memory, from, to, &blocks, &words, &padding);
                }) {
                    prop_assert_eq!(&output, first);
                }
                kernel.run(input.get(1..).unwrap_or(&[]), &blocks, &words, &[], &mut output);
                kernel.run(&input, blocks.get(1..).unwrap_or(&[]), &words, &padding, &mut output);
            }

            let floats = |values: &[i8]| values.iter().map(|&v| f32::from(v)).collect::<Vec<f32>>();
            let bias: Vec<f32> = (0..channels).map(|c| c as f32).collect();
            let mut output = std::vec![0.0; plain_sums.len()];
            DepthwiseConv2dF32 { window, channels, min: -30_000.0, max: 20_000.0 }.run(
                &floats(&input), &floats(&weights), &bias, &floats(&padding), &mut output,
            );
            prop_assert_eq!(&output, &plain_sums);
        }
    }

    #[test]
    fn a_window_with_more_taps_than_are_found_at_once() {
        let window = Window {
            in_height: 7,
            in_width: 9,
            out_height: 1,
            out_width: 1,
            height: 7,
            width: 9,
            stride_height: 1,
            stride_width: 1,
            dilation_height: 1,
            dilation_width: 1,
            pad_top: 0,
            pad_left: 0,
        };
        let input = bytes(3, 63 * 5);
        let rows = bytes(4, 63 * 5);
        let [words, any] = tables(5);
        let kernel =
            DepthwiseConv2dI8 { window, channels: 5, output_zero_point: 1, min: -128, max: 127 };
        let mut output = [0; 5];
        kernel.run(&input, &crate::testing::interleave(&rows, 63), &words, &[], &mut output);
        for (channel, &got) in output.iter().enumerate() {
            let products = (0..63)
                .map(|k| i32::from(input[k * 5 + channel]) * i32::from(rows[channel * 63 + k]));
            assert_eq!(got, requantize(products.sum(), &any[channel * 3..], 1, -128, 127));
        }
    }

    #[test]
    fn what_is_missing_is_left_alone() {
        let window = Window {
            in_height: u32::MAX,
            in_width: u32::MAX,
            out_height: 3,
            out_width: 3,
            height: 2,
            width: 2,
            stride_height: 1,
            stride_width: 1,
            dilation_height: 1,
            dilation_width: 1,
            pad_top: 1,
            pad_left: 1,
        };
        let kernel =
            DepthwiseConv2dI8 { window, channels: 5, output_zero_point: 0, min: -128, max: 127 };
        let mut output = [3; 45];
        kernel.run(&[1, 2, 3], &[1; 7], &[0; 4], &[0; 5], &mut output);
        kernel.run(&[], &[], &[], &[], &mut []);
    }
}
