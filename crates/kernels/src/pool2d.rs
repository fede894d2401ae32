//! Pooling over windows: TFLite AVERAGE_POOL_2D and MAX_POOL_2D.
//!
//! A window is cut at the border of the input: the padding neither counts nor is averaged.

use crate::chunks::Chunks;
use crate::Window;
use crate::fixed::clamp_f32;

kernel! {
    /// int8 average: the sum divided by the number of taps inside the input, rounded half away from
    /// zero. Input and output have one scale. Shapes NHWC.
    average_pool2d_i8 version 1
    params AveragePool2dI8 {
        /// How the window slides; dilation is 1.
        window: Window,
        /// Channels.
        channels: u32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    operands (input input: i8, output output: i8)
}

kernel! {
    /// f32 average.
    average_pool2d_f32 version 1
    params AveragePool2dF32 {
        /// How the window slides; dilation is 1.
        window: Window,
        /// Channels.
        channels: u32,
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32,
    }
    operands (input input: f32, output output: f32)
}

kernel! {
    /// int8 maximum. Input and output have one scale. Shapes NHWC.
    max_pool2d_i8 version 1
    params MaxPool2dI8 {
        /// How the window slides; dilation is 1.
        window: Window,
        /// Channels.
        channels: u32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    operands (input input: i8, output output: i8)
}

kernel! {
    /// f32 maximum: a value takes the place of a smaller one only, so a NaN is never taken over another
    /// value, as in the reference.
    max_pool2d_f32 version 1
    params MaxPool2dF32 {
        /// How the window slides; dilation is 1.
        window: Window,
        /// Channels.
        channels: u32,
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32,
    }
    operands (input input: f32, output output: f32)
}

#[inline(always)]
fn average_pool2d_i8(p: &AveragePool2dI8, input: &[i8], output: &mut [i8]) {
    pool(&p.window, p.channels, input, output, |taps| {
        let (mut sum, mut count) = (0i32, 0i32);
        taps.each(|value| {
            sum = sum.wrapping_add(i32::from(value));
            count = count.wrapping_add(1);
        });
        let half = count >> 1;
        let rounded = if sum > 0 { sum.wrapping_add(half) } else { sum.wrapping_sub(half) };
        rounded.checked_div(count).unwrap_or(0).max(p.min).min(p.max) as i8
    });
}

#[inline(always)]
fn average_pool2d_f32(p: &AveragePool2dF32, input: &[f32], output: &mut [f32]) {
    pool(&p.window, p.channels, input, output, |taps| {
        let (mut sum, mut count) = (0f32, 0f32);
        taps.each(|value| {
            sum += value;
            count += 1.0;
        });
        clamp_f32(sum / count, p.min, p.max)
    });
}

#[inline(always)]
fn max_pool2d_i8(p: &MaxPool2dI8, input: &[i8], output: &mut [i8]) {
    pool(&p.window, p.channels, input, output, |taps| {
        let mut greatest = i8::MIN;
        taps.each(|value| greatest = greatest.max(value));
        i32::from(greatest).max(p.min).min(p.max) as i8
    });
}

#[inline(always)]
fn max_pool2d_f32(p: &MaxPool2dF32, input: &[f32], output: &mut [f32]) {
    pool(&p.window, p.channels, input, output, |taps| {
        let mut greatest = f32::MIN;
        taps.each(|value| {
            if greatest < value {
                greatest = value;
            }
        });
        clamp_f32(greatest, p.min, p.max)
    });
}

/// What one output sees of one channel.
struct Taps<'a, T> {
    /// The rows of the input that the window covers.
    rows: &'a [T],
    row_len: usize,
    /// Offset of the first tap in a row, and of what lies behind the last.
    first: usize,
    end: usize,
    channels: usize,
}

impl<T: Copy> Taps<'_, T> {
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(T)) {
        for row in self.rows.whole_chunks(self.row_len.max(1)) {
            let taps = row.get(self.first..self.end).unwrap_or(&[]);
            for value in taps.iter().step_by(self.channels) {
                visit(*value);
            }
        }
    }
}

#[inline(always)]
fn pool<T: Copy>(
    window: &Window,
    channels: u32,
    input: &[T],
    output: &mut [T],
    combine: impl Fn(&Taps<'_, T>) -> T,
) {
    let channels = (channels as usize).max(1);
    let row_len = (window.in_width as usize).wrapping_mul(channels).max(1);
    let image_len = (window.in_height as usize).wrapping_mul(row_len).max(1);
    let out_row_len = (window.out_width as usize).wrapping_mul(channels).max(1);
    let out_len = (window.out_height as usize).wrapping_mul(out_row_len).max(1);
    for (image, out_image) in input.whole_chunks(image_len).zip(output.whole_chunks_mut(out_len)) {
        for (out_row, row) in (0u32..).zip(out_image.whole_chunks_mut(out_row_len)) {
            let (top, bottom) = span(
                out_row,
                window.stride_height,
                window.pad_top,
                window.height,
                window.in_height,
            );
            let rows =
                image.get(top.wrapping_mul(row_len)..bottom.wrapping_mul(row_len)).unwrap_or(&[]);
            for (out_column, pixel) in (0u32..).zip(row.whole_chunks_mut(channels)) {
                let (left, right) = span(
                    out_column,
                    window.stride_width,
                    window.pad_left,
                    window.width,
                    window.in_width,
                );
                for (channel, out) in pixel.iter_mut().enumerate() {
                    let first = left.wrapping_mul(channels).wrapping_add(channel);
                    let end = right.wrapping_mul(channels);
                    *out = combine(&Taps { rows, row_len, first, end, channels });
                }
            }
        }
    }
}

/// First place and place behind the last of a window on one axis, cut at the border.
#[inline(always)]
fn span(out: u32, stride: u32, pad: u32, taps: u32, input: u32) -> (usize, usize) {
    let start = out.wrapping_mul(stride);
    let first = start.saturating_sub(pad);
    let end = start.saturating_add(taps).saturating_sub(pad).min(input);
    (first.min(end) as usize, end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn window(input: [u32; 2], taps: [u32; 2], stride: [u32; 2], pad: [u32; 2]) -> Window {
        let out = |i: usize| (input[i] + 2 * pad[i]).saturating_sub(taps[i]) / stride[i] + 1;
        Window {
            in_height: input[0],
            in_width: input[1],
            out_height: out(0),
            out_width: out(1),
            height: taps[0],
            width: taps[1],
            stride_height: stride[0],
            stride_width: stride[1],
            dilation_height: 1,
            dilation_width: 1,
            pad_top: pad[0],
            pad_left: pad[1],
        }
    }

    /// Every tap asked for by itself.
    fn plain(w: &Window, channels: usize, input: &[i8]) -> Vec<Vec<i8>> {
        let mut outputs = Vec::new();
        for y in 0..w.out_height {
            for x in 0..w.out_width {
                for c in 0..channels {
                    let mut taps = Vec::new();
                    for ky in 0..w.height {
                        for kx in 0..w.width {
                            if let (Some(row), Some(column)) =
                                (w.input_row(y, ky), w.input_column(x, kx))
                            {
                                taps.push(
                                    input[(row * w.in_width as usize + column) * channels + c],
                                );
                            }
                        }
                    }
                    outputs.push(taps);
                }
            }
        }
        outputs
    }

    proptest! {
        #[test]
        fn pools_equal_the_plain_form(
            input in [1u32..7, 1u32..7],
            taps in [1u32..5, 1u32..5],
            stride in [1u32..4, 1u32..4],
            pad in [0u32..2, 0u32..2],
            channels in 1usize..5,
            seed: u64,
        ) {
            let pad = [pad[0].min(taps[0] - 1), pad[1].min(taps[1] - 1)];
            prop_assume!(input[0] + 2 * pad[0] >= taps[0] && input[1] + 2 * pad[1] >= taps[1]);
            let w = window(input, taps, stride, pad);
            let len = (input[0] * input[1]) as usize * channels;
            let data: Vec<i8> = (0..len as u64)
                .map(|i| (seed.wrapping_mul(i * 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as i8)
                .collect();
            let expected = plain(&w, channels, &data);
            prop_assume!(expected.iter().all(|taps| !taps.is_empty()));

            let mut average = vec![0i8; expected.len()];
            AveragePool2dI8 { window: w, channels: channels as u32, min: -128, max: 127 }
                .run(&data, &mut average);
            let mut greatest = vec![0i8; expected.len()];
            MaxPool2dI8 { window: w, channels: channels as u32, min: -100, max: 100 }
                .run(&data, &mut greatest);
            for (i, taps) in expected.iter().enumerate() {
                let sum: f64 = taps.iter().map(|&v| f64::from(v)).sum();
                prop_assert_eq!(f64::from(average[i]), (sum / taps.len() as f64).round());
                let max = taps.iter().copied().max().unwrap_or(0);
                prop_assert_eq!(greatest[i], max.clamp(-100, 100));
            }
        }
    }
}
