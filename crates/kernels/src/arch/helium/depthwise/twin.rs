//! [`super`] in portable code: what the instructions must give.

use super::{BLOCK, Image, Layer, ORDER, Places, Table, Windows};
use crate::arch::taps::Taps;
use crate::chunks::Chunks;
use crate::fixed::multiply_by_quantized_multiplier;

/// The channels of one place: `input` gives the channel of a tap.
fn place(taps: usize, layer: &Layer<'_>, output: &mut [i8], input: impl Fn(usize, usize) -> i8) {
    let blocks = layer.weights.whole_chunks(taps.wrapping_mul(BLOCK)).zip(layer.table);
    for ((block, (weights, table)), outputs) in blocks.enumerate().zip(output.chunks_mut(BLOCK)) {
        let first = block.wrapping_mul(BLOCK);
        for (out, channel) in outputs.iter_mut().zip(0usize..) {
            let [bias, multiplier, shift] = words(table, channel);
            let weights = weights.whole_chunks(BLOCK);
            let sum = (0..taps).zip(weights).fold(bias, |sum, (tap, weights)| {
                let w = weights.get(channel).copied().unwrap_or(0);
                let x = input(tap, first.wrapping_add(channel));
                sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)))
            });
            let scaled = multiply_by_quantized_multiplier(sum, multiplier, shift);
            *out = scaled.wrapping_add(layer.zero_point).clamp(-128, 127) as i8;
        }
    }
}

/// Bias, multiplier and shift of a channel.
fn words(table: &Table, channel: usize) -> [i32; 3] {
    let (biases, others) = table.split_at_checked(ORDER.len()).unwrap_or((&[], &[]));
    let fours = ORDER.iter().zip(biases).zip(others.as_chunks().0);
    for ((channels, biases), [multipliers, shifts]) in fours {
        let words = biases.iter().zip(multipliers).zip(shifts);
        for (&at, ((&bias, &multiplier), &shift)) in channels.iter().zip(words) {
            if at == channel {
                return [bias, multiplier, shift];
            }
        }
    }
    [0; 3]
}

/// See [`super::outputs`].
pub(super) fn any_window(
    taps: &Taps<'_, i8>,
    places: Places,
    layer: &Layer<'_>,
    output: &mut [i8],
) {
    let (_, count, _) = taps.parts();
    let mut at = 0usize;
    for pixel in output.whole_chunks_mut(places.channels).take(places.number) {
        place(count, layer, pixel, |tap, channel| {
            let values = taps.iter().nth(tap).unwrap_or(&[]);
            values.get(at.wrapping_add(channel)).copied().unwrap_or(0)
        });
        at = at.wrapping_add(places.step);
    }
}

/// See [`super::line`].
pub(super) fn line_window(
    values: &[i8],
    taps: usize,
    apart: usize,
    places: Places,
    layer: &Layer<'_>,
    output: &mut [i8],
) {
    let mut at = 0usize;
    for pixel in output.whole_chunks_mut(places.channels).take(places.number) {
        place(taps, layer, pixel, |tap, channel| {
            let at = at.wrapping_add(tap.wrapping_mul(apart));
            values.get(at.wrapping_add(channel)).copied().unwrap_or(0)
        });
        at = at.wrapping_add(places.step);
    }
}

/// See [`super::three_by_three`].
pub(super) fn nine_taps(image: &Image<'_>, windows: Windows, layer: &Layer<'_>, output: &mut [i8]) {
    let Windows { first: [row, mut column], dilation: [rows, columns], number, stride } = windows;
    for pixel in output.whole_chunks_mut(image.channels).take(number as usize) {
        place(9, layer, pixel, |tap, channel| {
            let tap = tap as u32;
            let row = row.wrapping_add((tap / 3).wrapping_mul(rows));
            let column = column.wrapping_add((tap % 3).wrapping_mul(columns));
            let value = if row < image.height && column < image.width {
                let at = (row as usize).wrapping_mul(image.width as usize);
                let at = at.wrapping_add(column as usize).wrapping_mul(image.channels);
                image.values.get(at.wrapping_add(channel))
            } else {
                image.padding.get(channel)
            };
            value.copied().unwrap_or(0)
        });
        column = column.wrapping_add(stride);
    }
}
