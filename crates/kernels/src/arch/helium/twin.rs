//! [`super`] in portable code: what the instructions must give.

use super::{CHANNELS, Group, Layer, Rectangles, Whole};
use crate::chunks::Chunks;
use crate::fixed::multiply_by_quantized_multiplier;

/// Where the bias of each channel of a group is.
const BIAS: [usize; CHANNELS] = [0, 2, 1, 3];

/// The output of each sum of a group.
fn finish(
    sums: [i32; CHANNELS],
    [biases, multipliers, shifts]: &Group,
    zero_point: i32,
) -> [i8; CHANNELS] {
    let mut values = [0; CHANNELS];
    let words = BIAS.iter().zip(multipliers).zip(shifts);
    for ((value, sum), ((&bias, &multiplier), &shift)) in values.iter_mut().zip(sums).zip(words) {
        let sum = sum.wrapping_add(biases.get(bias).copied().unwrap_or(0));
        let scaled = multiply_by_quantized_multiplier(sum, multiplier, shift);
        *value = scaled.wrapping_add(zero_point).clamp(-128, 127) as i8;
    }
    values
}

/// The sum of the products of inputs and a row.
fn dot<'a>(inputs: impl Iterator<Item = &'a [i8]>, row: &[i8]) -> i32 {
    inputs
        .flatten()
        .zip(row)
        .fold(0, |sum, (&x, &w)| sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w))))
}

/// The channels of one place; inputs, weights, table and room for them are there.
pub(super) fn one_place(inputs: &[i8], layer: &Layer<'_>, output: &mut [i8]) {
    let Layer { weights, table, channels, zero_point } = *layer;
    let rows = || weights.whole_chunks(inputs.len());
    let once = || core::iter::once(inputs);
    if channels < CHANNELS {
        for ((out, row), group) in output.iter_mut().zip(rows()).zip(table) {
            let [value, ..] = finish([dot(once(), row); CHANNELS], group, zero_point);
            *out = value;
        }
        return;
    }
    let mut first = 0usize;
    for group in table.iter().take(super::groups(channels)) {
        // The last group has the last channels.
        first = first.min(channels.wrapping_sub(CHANNELS));
        let mut sums = [0; CHANNELS];
        for (sum, row) in sums.iter_mut().zip(rows().skip(first)) {
            *sum = dot(once(), row);
        }
        let outputs = output.iter_mut().skip(first);
        for (out, value) in outputs.zip(finish(sums, group, zero_point)) {
            *out = value;
        }
        first = first.wrapping_add(CHANNELS);
    }
}

/// So many groups of each of three places, whose outputs begin `apart` elements apart.
pub(super) fn groups3_of(
    runs: Whole<'_>,
    layer: &Layer<'_>,
    output: &mut [i8],
    apart: usize,
    groups: usize,
) {
    for place in 0..3usize {
        let inputs = runs.runs.iter().filter(|run| run.len > 0).map(|run| {
            let first = run.first.get(place).copied().unwrap_or(core::ptr::null());
            // SAFETY: a run that is not empty was made from slices of `len` elements that outlive the borrow.
            unsafe { core::slice::from_raw_parts(first, run.len) }
        });
        let outputs = output.get_mut(place.wrapping_mul(apart)..).unwrap_or(&mut []);
        let mut rows = layer.weights.whole_chunks(runs.depth);
        for (out, group) in outputs.as_chunks_mut().0.iter_mut().take(groups).zip(layer.table) {
            let mut sums = [0; CHANNELS];
            for (sum, row) in sums.iter_mut().zip(rows.by_ref()) {
                *sum = dot(inputs.clone(), row);
            }
            *out = finish(sums, group, layer.zero_point);
        }
    }
}

/// Copies rows that are there.
pub(super) fn copy(rectangles: &Rectangles, from: &[i8], to: &mut [i8]) {
    let &Rectangles { places, rows, len, places_apart, rows_apart } = rectangles;
    for place in 0..places {
        for row in 0..rows {
            let at = |which: usize| {
                let apart = |apart: [usize; 2]| apart.get(which).copied().unwrap_or(0);
                let first = place.wrapping_mul(apart(places_apart));
                first.wrapping_add(row.wrapping_mul(apart(rows_apart)))
            };
            let from = from.get(at(0)..).unwrap_or(&[]);
            let to = to.get_mut(at(1)..).unwrap_or(&mut []);
            for (to, &from) in to.iter_mut().zip(from).take(len) {
                *to = from;
            }
        }
    }
}

/// How many rows have been computed here, of at most one vector each: none. What is left is computed anyway.
pub(super) fn shallow_rows(
    _input: &[i8],
    _depth: usize,
    _layer: &Layer<'_>,
    _output: &mut [i8],
) -> usize {
    0
}

/// As [`shallow_rows`], for three rows at once.
pub(super) fn three_rows(
    _input: &[i8],
    _depth: usize,
    _layer: &Layer<'_>,
    _output: &mut [i8],
) -> usize {
    0
}

/// See [`super::gather_threes`].
pub(super) fn gathered_threes(
    rectangles: &Rectangles,
    mut from: &[i8],
    patches: &mut [i8],
    skipped: usize,
    layer: &Layer<'_>,
    output: &mut [i8],
    threes: usize,
) {
    let [apart, depth] = rectangles.places_apart;
    let outputs = output.whole_chunks_mut(layer.channels.wrapping_mul(3));
    for out in outputs.take(threes) {
        copy(rectangles, from, patches.get_mut(skipped..).unwrap_or(&mut []));
        super::rows(patches, depth, layer, out);
        from = from.get(apart.wrapping_mul(3)..).unwrap_or(&[]);
    }
}
