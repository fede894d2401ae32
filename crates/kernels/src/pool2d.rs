//! Pooling over windows: TFLite AVERAGE_POOL_2D and MAX_POOL_2D.
//!
//! A window is cut at the border of the input: the padding neither counts nor is averaged.

use crate::Window;
use crate::chunks::Chunks;
use crate::columns::Runs;
use crate::fixed::clamp_f32;
use crate::rows::{Block, Blocks, Images, Lines};
use crate::window::clip;

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
    images i8, () distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize).distances::<i8>(&p.window, sizes)
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
    images f32, () distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize).distances::<f32>(&p.window, sizes)
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
    images i8, () distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize).distances::<i8>(&p.window, sizes)
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
    images f32, () distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize).distances::<f32>(&p.window, sizes)
}

#[inline(always)]
fn average_pool2d_i8(p: &AveragePool2dI8, images: Images<'_, i8>) {
    pool(
        &p.window,
        p.channels,
        images,
        0i32,
        |sum, value| sum.wrapping_add(i32::from(value)),
        |sum, count| {
            // Without a sign: the quotient is cut towards zero, and no core has to know `i32::MIN / -1`.
            let rounded = sum.unsigned_abs().wrapping_add(count >> 1) / count.max(1);
            let average =
                if sum < 0 { rounded.cast_signed().wrapping_neg() } else { rounded.cast_signed() };
            average.max(p.min).min(p.max) as i8
        },
    );
}

#[inline(always)]
fn average_pool2d_f32(p: &AveragePool2dF32, images: Images<'_, f32>) {
    let finish = |sum: f32, count: u32| clamp_f32(sum / count as f32, p.min, p.max);
    pool(&p.window, p.channels, images, 0f32, |sum, value| sum + value, finish);
}

#[inline(always)]
fn max_pool2d_i8(p: &MaxPool2dI8, images: Images<'_, i8>) {
    let greater = |greatest: i32, value: i8| greatest.max(i32::from(value));
    let finish = |greatest: i32, _| greatest.max(p.min).min(p.max) as i8;
    pool(&p.window, p.channels, images, -128i32, greater, finish);
}

#[inline(always)]
fn max_pool2d_f32(p: &MaxPool2dF32, images: Images<'_, f32>) {
    let greater = |greatest: f32, value: f32| if greatest < value { value } else { greatest };
    let finish = |greatest: f32, _| clamp_f32(greatest, p.min, p.max);
    pool(&p.window, p.channels, images, f32::MIN, greater, finish);
}

/// Takes the inputs under each window together, channel by channel: `start`, then each by `add`, then
/// `finish` with their number.
#[inline(always)]
fn pool<T: Copy, S: Copy>(
    window: &Window,
    channels: u32,
    images: Images<'_, T>,
    start: S,
    add: impl Fn(S, T) -> S,
    finish: impl Fn(S, u32) -> T,
) {
    let channels = (channels as usize).max(1);
    let lines = Lines::new(window, channels, channels);
    let mut blocks = Blocks::new(images, window, lines);
    while let Some(Block { image, first: mut row, output, .. }) = blocks.next(window, lines) {
        for out_row in output.whole_chunks_mut(lines.output) {
            let rows = Span::new(row, window.height, image.height);
            let mut column = 0u32.wrapping_sub(window.pad_left);
            for pixel in out_row.whole_chunks_mut(channels) {
                let columns = Span::new(column, window.width, window.in_width);
                let first = (rows.first as usize)
                    .wrapping_mul(lines.input)
                    .wrapping_add((columns.first as usize).wrapping_mul(channels));
                let runs = Runs {
                    data: image.values,
                    inner: channels,
                    first,
                    len: (columns.count as usize).wrapping_mul(channels),
                    step: lines.input,
                    count: rows.count,
                };
                let taps = rows.count.wrapping_mul(columns.count);
                runs.reduce(pixel, start, &add, |sum| finish(sum, taps));
                column = column.wrapping_add(window.stride_width);
            }
            row = row.wrapping_add(window.stride_height);
        }
    }
}

/// The places of a window on one axis that lie in the input.
struct Span {
    first: u32,
    count: u32,
}

impl Span {
    /// Of the `taps` places from `first` on, which has wrapped when it is in the padding before the input.
    #[inline(always)]
    fn new(first: u32, taps: u32, input: u32) -> Self {
        let (before, count) = clip(first, taps, input);
        Self { first: first.wrapping_add(before), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, naive_sum, overlapping, windows};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn any_window_is_cut_at_the_border(
            window in windows(),
            batches in 1usize..3,
            channels in 1usize..11,
            seed: u64,
        ) {
            let window = Window { dilation_height: 1, dilation_width: 1, ..window };
            let image = (window.in_height * window.in_width) as usize * channels;
            let places = (window.out_height * window.out_width) as usize;
            let input = bytes(seed, image * batches);
            let (mut averages, mut maxima) = (Vec::new(), Vec::new());
            for batch in input.chunks_exact(image) {
                for place in 0..places {
                    for channel in 0..channels {
                        let (mut count, mut greatest) = (0, -128);
                        let term = |_, pixel: Option<&[i8]>| pixel.map_or(0, |pixel| {
                            count += 1;
                            greatest = i32::from(pixel[channel]).max(greatest);
                            i32::from(pixel[channel])
                        });
                        let sum = naive_sum(&window, batch, channels, place, term);
                        // Half away from zero; a window in the padding alone has no average.
                        let average = (f64::from(sum) / f64::from(count.max(1))).round() as i32;
                        averages.push(average.clamp(-100, 90) as i8);
                        maxima.push(greatest.clamp(-100, 90) as i8);
                    }
                }
            }
            let first = places * channels;
            let distances = Lines::new(&window, channels, channels)
                .distances::<i8>(&window, [image as u64, first as u64])
                .unwrap();
            let channels = channels as u32;
            let mut output = vec![0; averages.len()];
            AveragePool2dI8 { window, channels, min: -100, max: 90 }.run(&input, &mut output);
            prop_assert_eq!(&output, &averages);
            MaxPool2dI8 { window, channels, min: -100, max: 90 }.run(&input, &mut output);
            prop_assert_eq!(&output, &maxima);
            let average = AveragePool2dI8 { window, channels, min: -100, max: 90 };
            let image = &input[..image];
            for output in overlapping(distances, image, &averages[..first], |memory, from, to| {
                average.run_overlapping(memory, from, to);
            }) {
                prop_assert_eq!(&output, &averages[..first]);
            }
            let maximum = MaxPool2dI8 { window, channels, min: -100, max: 90 };
            for output in overlapping(distances, image, &maxima[..first], |memory, from, to| {
                maximum.run_overlapping(memory, from, to);
            }) {
                prop_assert_eq!(&output, &maxima[..first]);
            }
            // Fewer elements than the shape says: no panic.
            MaxPool2dI8 { window, channels, min: -100, max: 90 }
                .run(input.get(1..).unwrap_or(&[]), &mut output);
        }
    }

    #[test]
    fn a_maximum_passes_over_what_is_no_number() {
        let window = Window {
            in_height: 1,
            in_width: 4,
            out_height: 1,
            out_width: 2,
            height: 1,
            width: 2,
            stride_height: 1,
            stride_width: 2,
            dilation_height: 1,
            dilation_width: 1,
            pad_top: 0,
            pad_left: 0,
        };
        let mut output = [0.0; 2];
        MaxPool2dF32 { window, channels: 1, min: f32::MIN, max: f32::MAX }
            .run(&[f32::NAN, -2.0, f32::NAN, f32::INFINITY], &mut output);
        assert_eq!(output, [-2.0, f32::MAX]);
        AveragePool2dF32 { window, channels: 1, min: f32::MIN, max: f32::MAX }
            .run(&[f32::NAN, 1.0, 2.0, 3.0], &mut output);
        assert!(output[0].is_nan());
        assert_eq!(output[1], 2.5);
    }
}
