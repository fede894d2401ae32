//! Depthwise convolution, one output channel for each input channel: TFLite DEPTHWISE_CONV_2D.

use crate::chunks::Chunks;
use crate::Window;
use crate::dot::{self, ClampF32, Finish, GROUP, Lane, RequantizeI8};

kernel! {
    /// int8 depthwise convolution: output channel `c` sees input channel `c` only.
    ///
    /// Weights are rows of `height x width` elements, one row for each channel, packed as
    /// [`crate::dot`] says; `channels` as in [`crate::FullyConnectedI8`].
    depthwise_conv2d_i8 version 1
    params DepthwiseConv2dI8 {
        /// How the window slides.
        window: Window,
        /// Channels of input and output.
        channels: u32,
        /// Zero point of the input: the value of the padding.
        input_zero_point: i8,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    operands (input input: i8, constant weights: i8, constant words: i32, output output: i8)
}

kernel! {
    /// f32 depthwise convolution; operands as in [`DepthwiseConv2dI8`].
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
    operands (input input: f32, constant weights: f32, constant bias: f32, output output: f32)
}

#[inline(always)]
fn depthwise_conv2d_i8(
    p: &DepthwiseConv2dI8,
    input: &[i8],
    weights: &[i8],
    words: &[i32],
    output: &mut [i8],
) {
    let finish = RequantizeI8 { zero_point: p.output_zero_point, min: p.min, max: p.max };
    let shape =
        Shape { window: &p.window, channels: p.channels, padding: Some(p.input_zero_point) };
    shape.convolve(input, weights, words, output, &finish);
}

#[inline(always)]
fn depthwise_conv2d_f32(
    p: &DepthwiseConv2dF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let finish = ClampF32 { min: p.min, max: p.max };
    let shape = Shape { window: &p.window, channels: p.channels, padding: None };
    shape.convolve(input, weights, bias, output, &finish);
}

struct Shape<'a, T> {
    window: &'a Window,
    channels: u32,
    /// What a tap in the padding counts as; `None` leaves it out.
    padding: Option<T>,
}

/// One output place: the first row and column of its window, wrapped when they are in the padding.
#[derive(Clone, Copy)]
struct Place {
    row: u32,
    column: u32,
    whole: bool,
}

impl<T: Lane> Shape<'_, T> {
    #[inline(always)]
    fn convolve<F: Finish<T>>(
        &self,
        input: &[T],
        weights: &[T],
        words: &[F::Word],
        output: &mut [T],
        finish: &F,
    ) {
        let window = self.window;
        let channels = (self.channels as usize).max(1);
        let image_len = (window.in_height as usize)
            .wrapping_mul(window.in_width as usize)
            .wrapping_mul(channels);
        let row_len = (window.out_width as usize).wrapping_mul(channels);
        let out_len = (window.out_height as usize).wrapping_mul(row_len);
        for (image, out_image) in
            input.whole_chunks(image_len.max(1)).zip(output.whole_chunks_mut(out_len.max(1)))
        {
            let mut row = 0u32.wrapping_sub(window.pad_top);
            for out_row in out_image.whole_chunks_mut(row_len.max(1)) {
                let mut column = 0u32.wrapping_sub(window.pad_left);
                for pixel in out_row.whole_chunks_mut(channels) {
                    let whole = window.is_whole(row, column);
                    let place = Place { row, column, whole };
                    self.outputs(place, image, weights, words, pixel, finish);
                    column = column.wrapping_add(window.stride_width);
                }
                row = row.wrapping_add(window.stride_height);
            }
        }
    }

    /// All channels of one output place.
    #[inline(always)]
    fn outputs<F: Finish<T>>(
        &self,
        place: Place,
        image: &[T],
        weights: &[T],
        words: &[F::Word],
        pixel: &mut [T],
        finish: &F,
    ) {
        let window = self.window;
        let taps = (window.height as usize).wrapping_mul(window.width as usize).max(1);
        let (groups, rest) = pixel.as_chunks_mut::<GROUP>();
        let grouped = groups.len().wrapping_mul(GROUP);
        let (group_weights, rest_weights) =
            weights.split_at_checked(grouped.wrapping_mul(taps)).unwrap_or((&[], &[]));
        let (group_words, rest_words) =
            words.split_at_checked(grouped.wrapping_mul(F::WORDS)).unwrap_or((&[], &[]));

        let mut channel = 0usize;
        let tables = group_weights
            .whole_chunks(taps.wrapping_mul(GROUP).max(1))
            .zip(group_words.whole_chunks(F::WORDS.wrapping_mul(GROUP)));
        for (out, (weights, words)) in groups.iter_mut().zip(tables) {
            let [w0, w1, w2, w3] = dot::four(words, F::WORDS);
            let mut sums = [F::start(w0), F::start(w1), F::start(w2), F::start(w3)];
            let (weights, _) = weights.as_chunks::<GROUP>();
            let padding = self.padding.map(|value| [value; GROUP]);
            self.each_tap(place, image, channel, padding, weights, |values, weight| {
                sums = [
                    T::accumulate(sums[0], values[0], weight[0]),
                    T::accumulate(sums[1], values[1], weight[1]),
                    T::accumulate(sums[2], values[2], weight[2]),
                    T::accumulate(sums[3], values[3], weight[3]),
                ];
            });
            *out = [
                finish.finish(sums[0], w0),
                finish.finish(sums[1], w1),
                finish.finish(sums[2], w2),
                finish.finish(sums[3], w3),
            ];
            channel = channel.wrapping_add(GROUP);
        }

        let tables = rest_weights.whole_chunks(taps).zip(rest_words.whole_chunks(F::WORDS));
        for (out, (weights, words)) in rest.iter_mut().zip(tables) {
            let mut sum = F::start(words);
            let padding = self.padding.map(|value| [value]);
            self.each_tap(place, image, channel, padding, weights, |values, &weight| {
                sum = T::accumulate(sum, values[0], weight);
            });
            *out = finish.finish(sum, words);
            channel = channel.wrapping_add(1);
        }
    }

    /// Hands each tap's weight to `visit` with the inputs from `channel` on.
    #[inline(always)]
    fn each_tap<W, const N: usize>(
        &self,
        place: Place,
        image: &[T],
        channel: usize,
        padding: Option<[T; N]>,
        weights: &[W],
        mut visit: impl FnMut(&[T; N], &W),
    ) {
        let window = self.window;
        let channels = self.channels as usize;
        let tap_step = (window.dilation_width as usize).wrapping_mul(channels);
        let row_step = (window.dilation_height as usize)
            .wrapping_mul(window.in_width as usize)
            .wrapping_mul(channels);
        let mut row_start = crate::window::offset(place.row)
            .wrapping_mul(window.in_width as usize)
            .wrapping_add(crate::window::offset(place.column))
            .wrapping_mul(channels)
            .wrapping_add(channel);
        let mut row = place.row;
        for weights in weights.whole_chunks((window.width as usize).max(1)) {
            let mut start = row_start;
            if place.whole {
                for weight in weights {
                    if let Some(values) = values(image, start) {
                        visit(values, weight);
                    }
                    start = start.wrapping_add(tap_step);
                }
            } else {
                let mut column = place.column;
                for weight in weights {
                    let inside = row < window.in_height && column < window.in_width;
                    let tap = if inside { values(image, start) } else { padding.as_ref() };
                    if let Some(values) = tap {
                        visit(values, weight);
                    }
                    start = start.wrapping_add(tap_step);
                    column = column.wrapping_add(window.dilation_width);
                }
            }
            row_start = row_start.wrapping_add(row_step);
            row = row.wrapping_add(window.dilation_height);
        }
    }
}

/// `N` neighboring elements.
#[inline(always)]
fn values<T, const N: usize>(image: &[T], start: usize) -> Option<&[T; N]> {
    image.get(start..)?.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, naive_sum, requantize, windows};
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn any_window_is_the_plain_sum(
            window in windows(),
            batches in 1usize..3,
            channels in 1usize..11,
            seed: u64,
            zero: i8,
        ) {
            let image = (window.in_height * window.in_width) as usize * channels;
            let taps = (window.height * window.width) as usize;
            let out_places = (window.out_height * window.out_width) as usize;
            let input = bytes(seed, image * batches);
            let rows = bytes(seed ^ 1, taps * channels);
            let words: Vec<i32> = (0..channels as i32)
                .flat_map(|c| [c * 1000 - 3000, (1 << 30) + c * 12_345_678, -4 - c])
                .collect();
            let mut expected = Vec::new();
            for batch in input.chunks_exact(image) {
                for place in 0..out_places {
                    for channel in 0..channels {
                        let sum = naive_sum(&window, batch, channels, place, |tap, value: Option<&[i8]>| {
                            let value = value.map_or(zero, |pixel| pixel[channel]);
                            i32::from(value) * i32::from(rows[channel * taps + tap])
                        });
                        expected.push(requantize(sum, &words[channel * 3..], -5, -120, 100));
                    }
                }
            }
            let kernel = DepthwiseConv2dI8 {
                window,
                channels: channels as u32,
                input_zero_point: zero,
                output_zero_point: -5,
                min: -120,
                max: 100,
            };
            let weights = crate::testing::interleave(&rows, taps);
            let mut output = std::vec![0; expected.len()];
            kernel.run(&input, &weights, &words, &mut output);
            prop_assert_eq!(output, expected);
        }
    }

    #[test]
    fn an_infinite_weight_on_the_padding_changes_nothing() {
        let window = Window {
            in_height: 1,
            in_width: 1,
            out_height: 1,
            out_width: 1,
            height: 1,
            width: 3,
            stride_height: 1,
            stride_width: 1,
            dilation_height: 1,
            dilation_width: 1,
            pad_top: 0,
            pad_left: 1,
        };
        let kernel = DepthwiseConv2dF32 { window, channels: 1, min: -10.0, max: 10.0 };
        let mut output = [0.0];
        kernel.run(&[2.0], &[f32::INFINITY, 3.0, f32::NAN], &[1.0], &mut output);
        assert_eq!(output, [7.0]);
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
        let kernel = DepthwiseConv2dI8 {
            window,
            channels: 5,
            input_zero_point: 0,
            output_zero_point: 0,
            min: -128,
            max: 127,
        };
        let mut output = [3; 45];
        kernel.run(&[1, 2, 3], &[1; 7], &[0; 4], &mut output);
        kernel.run(&[], &[], &[], &mut []);
    }
}
