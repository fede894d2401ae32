//! Two-dimensional convolution, grouped or not: TFLite CONV_2D.

use crate::Window;
use crate::arch::v6m::{self, RUNS, Runs};
use crate::chunks::Chunks;
use crate::dot::{
    self, ClampF32, Interleaved, Lane, Packing, Pairs, RequantizeAnyI8, RequantizeI8,
    RequantizeShiftI8, Words,
};
use crate::rows::{Block, Blocks, Image, Images, Lines};
use crate::window::offset;

pub mod threes;

/// Declares the kernel for one form of the channel table and of the weights.
macro_rules! conv2d_i8 {
    ($(#[$doc:meta])* $name:ident $Params:ident $Packing:ty, $Weight:ident) => {
        kernel! {
            /// int8 convolution. Input and output NHWC; weights are rows of `height x width x channels
            /// of a group`, group by group. `padding` holds the input's zero point, as often as a row of
            /// the window has inputs, and stands for every tap outside the input.
            ///
            $(#[$doc])*
            $name version 1
            params $Params {
                /// How the window slides.
                window: Window,
                /// Input channels.
                in_channels: u32,
                /// Output channels.
                out_channels: u32,
                /// Groups: output channels of a group see only the input channels of that group.
                groups: u32,
                /// Zero point of the output.
                output_zero_point: i32,
                /// Least output.
                min: i32,
                /// Greatest output.
                max: i32,
            }
            images i8, (weights: $Weight, channels: i32, padding: i8)
            distances |p, sizes| Lines::new(&p.window, p.in_channels as usize, p.out_channels as usize).distances::<i8>(&p.window, sizes)
        }

        #[inline(always)]
        fn $name(
            p: &$Params,
            images: Images<'_, i8>,
            weights: &[$Weight],
            channels: &[i32],
            padding: &[i8],
        ) {
            let finish = <$Packing as Packing<i8>>::Finish::new(p.output_zero_point, p.min, p.max);
            let (words, _) = channels.as_chunks();
            Shape::new(&p.window, p.in_channels, p.out_channels, p.groups)
                .convolve::<_, $Packing>(images, weights, words, padding, &finish);
        }
    };
}

conv2d_i8! {
    /// Weights and the table of channels are packed as [`crate::dot`] says; all multipliers are
    /// below one quarter.
    conv2d_i8 Conv2dI8 Interleaved<RequantizeI8>, i8
}

conv2d_i8! {
    /// As [`Conv2dI8`], for any multiplier.
    conv2d_any_i8 Conv2dAnyI8 Interleaved<RequantizeAnyI8>, i8
}

conv2d_i8! {
    /// As [`Conv2dI8`], weights as [`crate::arch::dsp`] takes them. Either four divides the channels of a
    /// group, or an output has at most [`dot::PAIRS_PATCH`] inputs.
    conv2d_pairs_i8 Conv2dPairsI8 Pairs, i32
}

kernel! {
    /// As [`Conv2dI8`] of one group, columns side by side, weights and table as [`crate::arch::v6m`] takes them.
    /// The inputs of an output place are at most [`RUNS`] runs.
    conv2d_eights_i8 version 1
    params Conv2dEightsI8 {
        /// How the window slides.
        window: Window,
        /// Input channels.
        in_channels: u32,
        /// Output channels.
        out_channels: u32,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    images i8, (weights: i8, channels: i32, padding: i8)
    distances |p, sizes| Lines::new(&p.window, p.in_channels as usize, p.out_channels as usize).distances::<i8>(&p.window, sizes)
}

#[inline(always)]
fn conv2d_eights_i8(
    p: &Conv2dEightsI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
) {
    let finish = RequantizeShiftI8::new(p.output_zero_point, p.min, p.max);
    let (words, _) = channels.as_chunks();
    Shape::new(&p.window, p.in_channels, p.out_channels, 1)
        .convolve_runs(images, weights, words, padding, &finish);
}

kernel! {
    /// As [`Conv2dI8`] of one group, columns side by side, weights and table as [`crate::arch::rv32`] takes them.
    /// The window has at most [`crate::arch::rv32::RUNS`] taps, or at most [`threes::PATCH`] inputs.
    conv2d_threes_i8 version 1
    params Conv2dThreesI8 {
        /// How the window slides.
        window: Window,
        /// Input channels.
        in_channels: u32,
        /// Output channels.
        out_channels: u32,
        /// Zero point of the output, in the range of outputs.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
        /// How many neighboring inputs have room for their sums; 0 when all inputs of an output have.
        longest: u32,
    }
    images i8, (weights: i8, channels: i32, padding: i8)
    distances |p, sizes| Lines::new(&p.window, p.in_channels as usize, p.out_channels as usize)
        .distances::<i8>(&p.window, sizes)
}

#[inline(always)]
fn conv2d_threes_i8(
    p: &Conv2dThreesI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
) {
    let lines = Lines::new(&p.window, p.in_channels as usize, p.out_channels as usize);
    let mut blocks = Blocks::new(images, &p.window, lines);
    if threes::gathers(p) {
        threes::convolve_gathered(p, &mut blocks, weights, channels, padding);
    } else {
        threes::convolve(p, &mut blocks, weights, channels, padding);
    }
}

kernel! {
    /// f32 convolution; operands as in [`Conv2dI8`], `padding` is zeros.
    conv2d_f32 version 1
    params Conv2dF32 {
        /// How the window slides.
        window: Window,
        /// Input channels.
        in_channels: u32,
        /// Output channels.
        out_channels: u32,
        /// Groups.
        groups: u32,
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32,
    }
    images f32, (weights: f32, bias: f32, padding: f32)
    distances |p, sizes| Lines::new(&p.window, p.in_channels as usize, p.out_channels as usize).distances::<f32>(&p.window, sizes)
}

#[inline(always)]
fn conv2d_f32(
    p: &Conv2dF32,
    images: Images<'_, f32>,
    weights: &[f32],
    bias: &[f32],
    padding: &[f32],
) {
    let finish = ClampF32 { min: p.min, max: p.max };
    Shape::new(&p.window, p.in_channels, p.out_channels, p.groups)
        .convolve::<_, Interleaved<ClampF32>>(images, weights, bias, padding, &finish);
}

mod rows;
pub use rows::{Conv2dRowsI8, takes_rows};

struct Shape<'a> {
    window: &'a Window,
    in_channels: usize,
    out_channels: usize,
    /// Input and output channels of a group.
    group_channels: usize,
    group_outputs: usize,
    /// Inputs of one output.
    depth: usize,
}

/// One output place: the first row and column of its window, wrapped when they are in the padding, and
/// the first input channel.
#[derive(Clone, Copy)]
struct Place {
    row: u32,
    column: u32,
    channel: usize,
}

impl<'a> Shape<'a> {
    #[inline(always)]
    fn new(window: &'a Window, in_channels: u32, out_channels: u32, groups: u32) -> Self {
        let groups = groups.max(1);
        let group_channels = (in_channels / groups) as usize;
        let taps = (window.height as usize).wrapping_mul(window.width as usize);
        Self {
            window,
            in_channels: in_channels as usize,
            out_channels: (out_channels as usize).max(1),
            group_channels,
            group_outputs: ((out_channels / groups) as usize).max(1),
            depth: taps.wrapping_mul(group_channels),
        }
    }

    #[inline(always)]
    fn lines(&self) -> Lines {
        Lines::new(self.window, self.in_channels, self.out_channels)
    }

    #[inline(always)]
    fn convolve<T: Lane, P: Packing<T>>(
        &self,
        images: Images<'_, T>,
        weights: &[P::Weight],
        words: &[Words<T, P>],
        padding: &[T],
        finish: &P::Finish,
    ) {
        let window = self.window;
        let mut buffer = P::PATCH;
        let lines = self.lines();
        let mut blocks = Blocks::new(images, window, lines);
        while let Some(Block { image, first: mut row, output, .. }) = blocks.next(window, lines) {
            for out_row in output.whole_chunks_mut(lines.output) {
                let mut column = 0u32.wrapping_sub(window.pad_left);
                for pixel in out_row.whole_chunks_mut(self.out_channels) {
                    let mut place = Place { row, column, channel: 0 };
                    let (mut weights, mut words) = (weights, words);
                    for out in pixel.whole_chunks_mut(self.group_outputs) {
                        match buffer.as_mut().get_mut(..self.depth.next_multiple_of(P::BLOCK)) {
                            Some(patch) => {
                                self.gather(place, image, padding, patch);
                                dot::outputs::<T, P>(patch, weights, words, out, finish);
                            }
                            None => self.outputs::<T, P>(
                                place, image, padding, weights, words, out, finish,
                            ),
                        }
                        place.channel = place.channel.wrapping_add(self.group_channels);
                        let of_group = P::group_len(self.depth)
                            .wrapping_mul(self.group_outputs / dot::GROUP)
                            .wrapping_add(
                                P::row_len(self.depth).wrapping_mul(self.group_outputs % dot::GROUP),
                            );
                        weights = weights.get(of_group..).unwrap_or(&[]);
                        words = words.get(self.group_outputs..).unwrap_or(&[]);
                    }
                    column = column.wrapping_add(window.stride_width);
                }
                row = row.wrapping_add(window.stride_height);
            }
        }
    }

    /// As [`Shape::convolve`], for one group, where an output place has few runs of inputs.
    #[inline(never)]
    fn convolve_runs(
        &self,
        images: Images<'_, i8>,
        weights: &[i8],
        words: &[[i32; 3]],
        padding: &[i8],
        finish: &RequantizeShiftI8,
    ) {
        let window = self.window;
        let step = (window.stride_width as usize).wrapping_mul(self.in_channels);
        let lines = self.lines();
        let mut blocks = Blocks::new(images, window, lines);
        while let Some(Block { image, first: mut row, output, .. }) = blocks.next(window, lines) {
            let mut runs = Runs::<RUNS>::new();
            for out_row in output.whole_chunks_mut(lines.output) {
                let rows_inside = window.has_rows(row, image.height);
                // How far the runs that were found are moved on; not to be used when one of them is in the
                // padding.
                let mut found: Option<usize> = None;
                let mut column = 0u32.wrapping_sub(window.pad_left);
                for out in out_row.whole_chunks_mut(self.out_channels) {
                    let within = rows_inside && window.has_columns(column);
                    let at = match found {
                        Some(before) if within => before.wrapping_add(step),
                        _ => {
                            self.find(row, column, image, padding, &mut runs);
                            0
                        }
                    };
                    found = within.then_some(at);
                    v6m::outputs(&runs, at, weights, words, out, finish.zero_point());
                    finish.narrow(out);
                    column = column.wrapping_add(window.stride_width);
                }
                row = row.wrapping_add(window.stride_height);
            }
        }
    }

    /// Finds the runs of inputs of one place, whose first row and column have wrapped where they are in the
    /// padding: neighboring columns of each row.
    #[inline(never)]
    fn find<'v>(
        &self,
        mut row: u32,
        column: u32,
        image: Image<'v, i8>,
        padding: &'v [i8],
        runs: &mut Runs<'v, RUNS>,
    ) {
        let window = self.window;
        let of_channels = |columns: u32| (columns as usize).wrapping_mul(self.in_channels);
        // Columns before the input, in it and behind it. A window beyond its right edge is all before it.
        let before = if column < window.in_width {
            0
        } else {
            0u32.wrapping_sub(column).min(window.width)
        };
        let left = window.width.wrapping_sub(before);
        let first = column.wrapping_add(before);
        let inside = left.min(window.in_width.saturating_sub(first));
        let behind = of_channels(left.wrapping_sub(inside));
        let (before, inside) = (of_channels(before), of_channels(inside));
        let line_len = of_channels(window.in_width);
        let all = of_channels(window.width);
        let start = of_channels(first);
        runs.clear();
        for _ in 0..window.height {
            if row < image.height {
                let at = (row as usize).wrapping_mul(line_len).wrapping_add(start);
                runs.push(padding, before);
                runs.push(image.values.get(at..).unwrap_or(&[]), inside);
                runs.push(padding, behind);
            } else {
                runs.push(padding, all);
            }
            row = row.wrapping_add(window.dilation_height);
        }
    }

    /// Copies the inputs of one place side by side.
    #[inline(never)]
    fn gather<T: Lane>(&self, place: Place, image: Image<'_, T>, padding: &[T], patch: &mut [T]) {
        // No `copy_from_slice`: the runs are short, and a general `memcpy` is larger than this kernel.
        let mut left = patch;
        self.each_segment(place, image, padding, |segment| {
            let (words, rest) = segment.as_chunks::<4>();
            for word in words {
                let Some((to, later)) = core::mem::take(&mut left).split_first_chunk_mut() else {
                    return;
                };
                *to = *word;
                left = later;
            }
            for value in rest {
                let Some((to, later)) = core::mem::take(&mut left).split_first_mut() else {
                    return;
                };
                *to = *value;
                left = later;
            }
        });
    }

    /// All output channels of a group at one place, from as many runs of the input as the window has.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the operands of the kernel and what it keeps")]
    fn outputs<T: Lane, P: Packing<T>>(
        &self,
        place: Place,
        image: Image<'_, T>,
        padding: &[T],
        weights: &[P::Weight],
        words: &[Words<T, P>],
        output: &mut [T],
        finish: &P::Finish,
    ) {
        let four = |(): &mut (), mut sums, mut rows: &[P::Weight]| {
            self.each_segment(place, image, padding, |segment| {
                let used = P::group_len(segment.len());
                let (now, later) = rows.split_at_checked(used).unwrap_or((&[], &[]));
                rows = later;
                dot::add_segment::<T, P>(&mut sums, segment, now);
            });
            sums
        };
        let one = |(): &mut (), mut sum, mut row: &[P::Weight]| {
            self.each_segment(place, image, padding, |segment| {
                let used = P::row_len(segment.len());
                let (now, later) = row.split_at_checked(used).unwrap_or((&[], &[]));
                row = later;
                sum = P::add_row(sum, segment, now);
            });
            sum
        };
        dot::each_group::<T, P, _>(
            self.depth, weights, words, output, finish, &mut (), four, one,
        );
    }

    /// Hands out the inputs of one place, run by run, in the order of the weights.
    #[inline(always)]
    fn each_segment<T>(
        &self,
        place: Place,
        image: Image<'_, T>,
        padding: &[T],
        mut visit: impl FnMut(&[T]),
    ) {
        let window = self.window;
        let step = (window.dilation_width as usize).wrapping_mul(self.in_channels);
        let row_len = (window.in_width as usize).wrapping_mul(self.in_channels);
        let row_step = (window.dilation_height as usize).wrapping_mul(row_len);
        // Taps of a row that lie side by side in the input are one run, and so are those in the padding.
        let adjacent = self.group_channels == self.in_channels && window.dilation_width == 1;
        let mut row_start = offset(place.row)
            .wrapping_mul(row_len)
            .wrapping_add(offset(place.column).wrapping_mul(self.in_channels))
            .wrapping_add(place.channel);
        let mut row = place.row;
        for _ in 0..window.height {
            let (mut left, mut start, mut column) = (window.width, row_start, place.column);
            while left > 0 {
                let inside = row < image.height && column < window.in_width;
                let run = if !adjacent {
                    1
                } else if inside {
                    left.min(window.in_width.wrapping_sub(column))
                } else if row < image.height {
                    // Up to the first column of the input; far more where the window is beyond it.
                    left.min(0u32.wrapping_sub(column).max(1))
                } else {
                    left
                };
                let len = (run as usize).wrapping_mul(self.group_channels);
                let values = if inside {
                    image.values.get(start..start.wrapping_add(len))
                } else {
                    padding.get(..len)
                };
                visit(values.unwrap_or(&[]));
                start = start.wrapping_add((run as usize).wrapping_mul(step));
                column = column.wrapping_add(run.wrapping_mul(window.dilation_width));
                left = left.wrapping_sub(run);
            }
            row_start = row_start.wrapping_add(row_step);
            row = row.wrapping_add(window.dilation_height);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::rv32::RUNS as RUNS_OF_THREES;
    use crate::testing::{
        bytes, eights, fours, interleave, naive_sum, overlapping, requantize, shifts, tables, windows,
    };
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_window_over_an_input_without_columns_ends() {
        let window = Window {
            in_height: 2,
            in_width: 0,
            out_height: 1,
            out_width: 1,
            height: 2,
            width: 3,
            stride_height: 1,
            stride_width: 1,
            dilation_height: 1,
            dilation_width: 1,
            pad_top: 0,
            pad_left: 0,
        };
        let (channels, words) = ([1u32; 3], [5, 0, 0]);
        let [in_channels, out_channels, groups] = channels;
        let kernel = Conv2dI8 {
            window, in_channels, out_channels, groups, output_zero_point: 7, min: -128, max: 127,
        };
        let mut output = [0];
        kernel.run(&[], &[1; 6], &words, &[2; 3], &mut output);
        assert_eq!(output, [7]);
    }

    proptest! {
        #[test]
        fn any_window_is_the_plain_sum(
            window in windows(),
            batches in 1usize..3,
            (groups, group_channels, group_outputs) in (1usize..4, prop_oneof![1usize..12, Just(16), Just(32)], 1usize..7),
            zero: i8,
            seed: u64,
        ) {
            let (channels, outputs) = (groups * group_channels, groups * group_outputs);
            let image = (window.in_height * window.in_width) as usize * channels;
            let taps = (window.height * window.width) as usize;
            let depth = taps * group_channels;
            let places = (window.out_height * window.out_width) as usize;
            let input = bytes(seed, image * batches);
            let rows = bytes(!seed, depth * outputs);
            let [plain, any] = tables(outputs);
            let mut expected = Vec::new();
            let mut plain_sums = Vec::new();
            for batch in input.chunks_exact(image) {
                for place in 0..places {
                    for output in 0..outputs {
                        let first = output / group_outputs * group_channels;
                        let row = &rows[output * depth..];
                        let term = |tap: usize, pixel: Option<&[i8]>| -> i32 {
                            let products = (0..group_channels).map(|c| {
                                let value = pixel.map_or(zero, |pixel| pixel[first + c]);
                                i32::from(value) * i32::from(row[tap * group_channels + c])
                            });
                            products.sum()
                        };
                        let sum = naive_sum(&window, batch, channels, place, term);
                        // Whole numbers below 2^24 are exact in f32.
                        plain_sums.push((sum as f32 + output as f32).clamp(-30_000.0, 20_000.0));
                        expected.push(requantize(sum, &any[output * 3..], -5, -120, 100));
                    }
                }
            }
            let packed: Vec<i8> = rows
                .chunks_exact(depth * group_outputs)
                .flat_map(|rows| interleave(rows, depth))
                .collect();
            let padding = vec![zero; window.width as usize * group_channels];
            let kernel = Conv2dI8 {
                window,
                in_channels: channels as u32,
                out_channels: outputs as u32,
                groups: groups as u32,
                output_zero_point: -5,
                min: -120,
                max: 100,
            };
            let mut output = vec![0; expected.len()];
            kernel.run(&input, &packed, &plain, &padding, &mut output);
            prop_assert_eq!(&output, &expected);
            let first = &expected[..places * outputs];
            let distances = Lines::new(&window, channels, outputs)
                .distances::<i8>(&window, [image as u64, first.len() as u64])
                .unwrap();
            let both = overlapping(distances, &input[..image], first, |memory, from, to| {
                kernel.run_overlapping(memory, from, to, &packed, &plain, &padding);
            });
            prop_assert_eq!(&both[0], first);
            prop_assert_eq!(&both[1], first);

            let Conv2dI8 {
                window, in_channels, out_channels, groups, output_zero_point, min, max,
            } = kernel;
            let kernel = Conv2dAnyI8 {
                window, in_channels, out_channels, groups, output_zero_point, min, max,
            };
            kernel.run(&input, &packed, &any, &padding, &mut output);
            prop_assert_eq!(&output, &expected);

            if groups == 1 && window.dilation_width == 1 {
                let (eight, words) = (eights(&rows, depth, i8::MIN), shifts(&any));
                let kernel = Conv2dEightsI8 {
                    window, in_channels, out_channels, output_zero_point, min, max,
                };
                output.fill(0);
                kernel.run(&input, &eight, &words, &padding, &mut output);
                prop_assert_eq!(&output, &expected);
                let both = overlapping(distances, &input[..image], first, |memory, from, to| {
                    kernel.run_overlapping(memory, from, to, &eight, &words, &padding);
                });
                prop_assert_eq!(&both[0], first);
                prop_assert_eq!(&both[1], first);
                kernel.run(input.get(1..).unwrap_or(&[]), &eight, &words, &padding, &mut output);
                kernel.run(&input, eight.get(1..).unwrap_or(&[]), &words, &[], &mut output);
            }
            if groups == 1 && takes_rows(&window, in_channels, out_channels) {
                let words = fours(&any);
                let kernel = Conv2dRowsI8 {
                    window, in_channels, out_channels, output_zero_point, min, max,
                };
                output.fill(0);
                kernel.run(&input, &rows, &words, &padding, &mut output);
                prop_assert_eq!(&output, &expected);
                for output in overlapping(distances, &input[..image], first, |memory, from, to| {
                    kernel.run_overlapping(memory, from, to, &rows, &words, &padding);
                }) {
                    prop_assert_eq!(&output, first);
                }
                kernel.run(input.get(1..).unwrap_or(&[]), &rows, &words, &padding, &mut output);
                kernel.run(&input, rows.get(1..).unwrap_or(&[]), &words, &[], &mut output);
            }

            let few = taps <= RUNS_OF_THREES || depth <= threes::PATCH;
            if groups == 1 && window.dilation_width == 1 && few {
                let (eight, words) = (eights(&rows, depth, 0), shifts(&any));
                for longest in [0, 5] {
                    let kernel = Conv2dThreesI8 {
                        window, in_channels, out_channels, output_zero_point, min, max, longest,
                    };
                    output.fill(0);
                    kernel.run(&input, &eight, &words, &padding, &mut output);
                    prop_assert_eq!(&output, &expected);
                    for output in overlapping(distances, &input[..image], first, |memory, from, to| {
                        kernel.run_overlapping(memory, from, to, &eight, &words, &padding);
                    }) {
                        prop_assert_eq!(&output, first);
                    }
                    kernel.run(input.get(1..).unwrap_or(&[]), &eight, &words, &padding, &mut output);
                    kernel.run(&input, eight.get(1..).unwrap_or(&[]), &words, &[], &mut output);
                }
            }

            let floats = |values: &[i8]| values.iter().map(|&v| f32::from(v)).collect::<Vec<f32>>();
            let bias: Vec<f32> = (0..out_channels).map(|o| o as f32).collect();
            let mut sums = vec![0.0; plain_sums.len()];
            Conv2dF32 { window, in_channels, out_channels, groups, min: -30_000.0, max: 20_000.0 }
                .run(&floats(&input), &floats(&packed), &bias, &floats(&padding), &mut sums);
            prop_assert_eq!(&sums, &plain_sums);

            // Fewer elements than the shape says: no panic.
            kernel.run(input.get(1..).unwrap_or(&[]), &packed, &any, &padding, &mut output);
            kernel.run(&input, packed.get(1..).unwrap_or(&[]), &any, &[], &mut output);
        }
    }
}
