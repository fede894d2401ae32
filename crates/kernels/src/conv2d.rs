//! Two-dimensional convolution, grouped or not: TFLite CONV_2D.

use crate::chunks::Chunks;
use crate::Window;
use crate::dot::{self, ClampF32, Finish, Lane, RequantizeI8, Segments};

kernel! {
    /// int8 convolution. Input and output NHWC; weights are rows of `height x width x channels of a
    /// group`, packed group by group as [`crate::dot`] says; `channels` as in
    /// [`crate::FullyConnectedI8`]. `padding` holds the input's zero point once for each input channel
    /// of a group and stands for every tap outside the input.
    conv2d_i8 version 1
    params Conv2dI8 {
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
    operands (
        input input: i8,
        constant weights: i8,
        constant channels: i32,
        constant padding: i8,
        output output: i8,
    )
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
    operands (
        input input: f32,
        constant weights: f32,
        constant bias: f32,
        constant padding: f32,
        output output: f32,
    )
}

#[inline(always)]
fn conv2d_i8(
    p: &Conv2dI8,
    input: &[i8],
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
    output: &mut [i8],
) {
    let finish = RequantizeI8 { zero_point: p.output_zero_point, min: p.min, max: p.max };
    let shape = Shape { window: &p.window, in_channels: p.in_channels, out_channels: p.out_channels, groups: p.groups };
    convolve(&shape, input, weights, channels, padding, output, &finish);
}

#[inline(always)]
fn conv2d_f32(
    p: &Conv2dF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    padding: &[f32],
    output: &mut [f32],
) {
    let finish = ClampF32 { min: p.min, max: p.max };
    let shape = Shape { window: &p.window, in_channels: p.in_channels, out_channels: p.out_channels, groups: p.groups };
    convolve(&shape, input, weights, bias, padding, output, &finish);
}

struct Shape<'a> {
    window: &'a Window,
    in_channels: u32,
    out_channels: u32,
    groups: u32,
}

/// What one output place sees of the input.
struct Taps<'a, T> {
    window: &'a Window,
    image: &'a [T],
    padding: &'a [T],
    in_channels: usize,
    /// First input channel and number of input channels of the group.
    first_channel: usize,
    group_channels: usize,
    out_row: u32,
    out_column: u32,
}

impl<T> Segments<T> for Taps<'_, T> {
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(&[T])) {
        let row_len = (self.window.in_width as usize).wrapping_mul(self.in_channels);
        let whole = if self.group_channels == self.in_channels {
            self.window.whole_columns(self.out_column)
        } else {
            None
        };
        for tap_row in 0..self.window.height {
            let row = self.window.input_row(self.out_row, tap_row).and_then(|row| {
                let start = row.wrapping_mul(row_len);
                self.image.get(start..start.wrapping_add(row_len))
            });
            if let (Some(row), Some(column)) = (row, whole) {
                // All taps of this row lie side by side in the input.
                let start = column.wrapping_mul(self.in_channels);
                let len = (self.window.width as usize).wrapping_mul(self.in_channels);
                visit(row.get(start..start.wrapping_add(len)).unwrap_or(&[]));
                continue;
            }
            for tap_column in 0..self.window.width {
                let tap = row.zip(self.window.input_column(self.out_column, tap_column)).and_then(
                    |(row, column)| {
                        let start =
                            column.wrapping_mul(self.in_channels).wrapping_add(self.first_channel);
                        row.get(start..start.wrapping_add(self.group_channels))
                    },
                );
                visit(tap.unwrap_or(self.padding));
            }
        }
    }
}

#[inline(always)]
fn convolve<T: Lane, F: Finish<T>>(
    shape: &Shape<'_>,
    input: &[T],
    weights: &[T],
    channels: &[F::Word],
    padding: &[T],
    output: &mut [T],
    finish: &F,
) {
    let window = shape.window;
    let in_channels = shape.in_channels as usize;
    let out_channels = (shape.out_channels as usize).max(1);
    let groups = (shape.groups as usize).max(1);
    let group_channels = in_channels / groups;
    let group_outputs = (out_channels / groups).max(1);
    let depth =
        (window.height as usize).wrapping_mul(window.width as usize).wrapping_mul(group_channels);
    let image_len =
        (window.in_height as usize).wrapping_mul(window.in_width as usize).wrapping_mul(in_channels);
    let row_len = (window.out_width as usize).wrapping_mul(out_channels);
    let out_len = (window.out_height as usize).wrapping_mul(row_len);

    for (image, out_image) in
        input.whole_chunks(image_len.max(1)).zip(output.whole_chunks_mut(out_len.max(1)))
    {
        for (out_row, row) in (0u32..).zip(out_image.whole_chunks_mut(row_len.max(1))) {
            for (out_column, pixel) in (0u32..).zip(row.whole_chunks_mut(out_channels)) {
                let group_weights = weights.whole_chunks(depth.wrapping_mul(group_outputs).max(1));
                let group_words = channels.whole_chunks(F::WORDS.wrapping_mul(group_outputs).max(1));
                let parts =
                    pixel.whole_chunks_mut(group_outputs).zip(group_weights.zip(group_words));
                for (group, (out, (weights, words))) in parts.enumerate() {
                    let taps = Taps {
                        window,
                        image,
                        padding,
                        in_channels,
                        first_channel: group.wrapping_mul(group_channels),
                        group_channels,
                        out_row,
                        out_column,
                    };
                    dot::outputs(depth, weights, words, out, finish, taps);
                }
            }
        }
    }
}
