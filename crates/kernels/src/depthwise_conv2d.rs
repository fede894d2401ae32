//! Depthwise convolution: TFLite DEPTHWISE_CONV_2D.

use crate::Window;
use crate::dot::{ClampF32, Finish, GROUP, Lane, RequantizeI8};

kernel! {
    /// int8 depthwise convolution: output channel `c` sees input channel `c / multiplier` only.
    ///
    /// With a multiplier of one the weights are groups of four channels, `[group][tap][4]`, then the
    /// channels left over, `[channel][tap]`; with any other multiplier all are `[channel][tap]`.
    /// `channels` as in [`crate::FullyConnectedI8`].
    depthwise_conv2d_i8 version 1
    params DepthwiseConv2dI8 {
        /// How the window slides.
        window: Window,
        /// Input channels.
        in_channels: u32,
        /// Output channels for each input channel.
        multiplier: u32,
        /// Zero point of the input: the value of the padding.
        input_zero_point: i8,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    operands (input input: i8, constant weights: i8, constant channels: i32, output output: i8)
}

kernel! {
    /// f32 depthwise convolution; operands as in [`DepthwiseConv2dI8`].
    depthwise_conv2d_f32 version 1
    params DepthwiseConv2dF32 {
        /// How the window slides.
        window: Window,
        /// Input channels.
        in_channels: u32,
        /// Output channels for each input channel.
        multiplier: u32,
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
    channels: &[i32],
    output: &mut [i8],
) {
    let finish = RequantizeI8 { zero_point: p.output_zero_point, min: p.min, max: p.max };
    let shape = Shape {
        window: &p.window,
        in_channels: p.in_channels as usize,
        multiplier: (p.multiplier as usize).max(1),
        padding: p.input_zero_point,
    };
    convolve(&shape, input, weights, channels, output, &finish);
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
    let shape = Shape {
        window: &p.window,
        in_channels: p.in_channels as usize,
        multiplier: (p.multiplier as usize).max(1),
        padding: 0.0,
    };
    convolve(&shape, input, weights, bias, output, &finish);
}

struct Shape<'a, T> {
    window: &'a Window,
    in_channels: usize,
    multiplier: usize,
    padding: T,
}

#[inline(always)]
fn convolve<T: Lane, F: Finish<T>>(
    shape: &Shape<'_, T>,
    input: &[T],
    weights: &[T],
    channels: &[F::Word],
    output: &mut [T],
    finish: &F,
) {
    let window = shape.window;
    let out_channels = shape.in_channels.wrapping_mul(shape.multiplier).max(1);
    let image_len = (window.in_height as usize)
        .wrapping_mul(window.in_width as usize)
        .wrapping_mul(shape.in_channels);
    let row_len = (window.out_width as usize).wrapping_mul(out_channels);
    let out_len = (window.out_height as usize).wrapping_mul(row_len);

    for (image, out_image) in
        input.chunks_exact(image_len.max(1)).zip(output.chunks_exact_mut(out_len.max(1)))
    {
        for (out_row, row) in (0u32..).zip(out_image.chunks_exact_mut(row_len.max(1))) {
            for (out_column, pixel) in (0u32..).zip(row.chunks_exact_mut(out_channels)) {
                let place = Place { shape, image, out_row, out_column };
                place.outputs(weights, channels, pixel, finish);
            }
        }
    }
}

/// One output place.
struct Place<'a, T> {
    shape: &'a Shape<'a, T>,
    image: &'a [T],
    out_row: u32,
    out_column: u32,
}

impl<T: Lane> Place<'_, T> {
    #[inline(always)]
    fn outputs<F: Finish<T>>(
        &self,
        weights: &[T],
        channels: &[F::Word],
        pixel: &mut [T],
        finish: &F,
    ) {
        let window = self.shape.window;
        let taps = (window.height as usize).wrapping_mul(window.width as usize).max(1);
        let grouped = if self.shape.multiplier == 1 { pixel.len() / GROUP * GROUP } else { 0 };
        let (groups, rest) = pixel.split_at_mut_checked(grouped).unwrap_or((&mut [], &mut []));
        let (group_weights, rest_weights) =
            weights.split_at_checked(grouped.wrapping_mul(taps)).unwrap_or((&[], &[]));
        let (group_words, rest_words) =
            channels.split_at_checked(grouped.wrapping_mul(F::WORDS)).unwrap_or((&[], &[]));

        let (groups, _) = groups.as_chunks_mut::<GROUP>();
        let tables = group_weights
            .chunks_exact(taps.wrapping_mul(GROUP))
            .zip(group_words.chunks_exact(F::WORDS.wrapping_mul(GROUP)));
        for ((group, out), (weights, words)) in groups.iter_mut().enumerate().zip(tables) {
            let [w0, w1, w2, w3] = crate::dot::four(words, F::WORDS);
            let mut sums = [F::start(w0), F::start(w1), F::start(w2), F::start(w3)];
            let padding = [self.shape.padding; GROUP];
            let (weights, _) = weights.as_chunks::<GROUP>();
            self.each_tap(group.wrapping_mul(GROUP), weights, |tap, weight| {
                let values = tap.and_then(|tap| tap.first_chunk::<GROUP>()).unwrap_or(&padding);
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
        }

        let tables = rest_weights.chunks_exact(taps).zip(rest_words.chunks_exact(F::WORDS));
        let places = (grouped..).zip(rest.iter_mut());
        for ((channel, out), (weights, words)) in places.zip(tables) {
            let mut sum = F::start(words);
            self.each_tap(channel / self.shape.multiplier, weights, |tap, &weight| {
                let value = tap.and_then(|tap| tap.first().copied()).unwrap_or(self.shape.padding);
                sum = T::accumulate(sum, value, weight);
            });
            *out = finish.finish(sum, words);
        }
    }

    /// Hands each tap's weight to `visit` with the input from `channel` on, `None` in the padding.
    #[inline(always)]
    fn each_tap<W>(&self, channel: usize, weights: &[W], mut visit: impl FnMut(Option<&[T]>, &W)) {
        let window = self.shape.window;
        let rows = weights.chunks_exact((window.width as usize).max(1));
        for (tap_row, weights) in (0u32..).zip(rows) {
            let row = window.input_row(self.out_row, tap_row);
            for (tap_column, weight) in (0u32..).zip(weights) {
                let tap = row.zip(window.input_column(self.out_column, tap_column));
                let tap = tap.and_then(|(row, column)| {
                    let place = row.wrapping_mul(window.in_width as usize).wrapping_add(column);
                    self.image
                        .get(place.wrapping_mul(self.shape.in_channels).wrapping_add(channel)..)
                });
                visit(tap, weight);
            }
        }
    }
}
