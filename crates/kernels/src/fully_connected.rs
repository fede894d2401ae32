//! Matrix times vector: TFLite FULLY_CONNECTED, and CONV_2D with a window of one place.

use crate::arch::helium;
use crate::arch::rv32::{self, Lines, PLACES};
use crate::arch::v6m::{self, Runs};
use crate::chunks::Chunks;
use crate::dot::{
    self, ClampF32, Interleaved, Lane, Packing, Pairs, RequantizeAnyI8, RequantizeI8,
    RequantizeShiftI8, Words,
};
use crate::rows::{Images, Vectors};

/// Declares the kernel for one form of the channel table and of the weights.
macro_rules! fully_connected_i8 {
    ($(#[$doc:meta])* $name:ident $Params:ident $Packing:ty, $Weight:ident) => {
        kernel! {
            /// int8 fully connected layer, weights per tensor or per channel.
            ///
            $(#[$doc])*
            $name version 1
            params $Params {
                /// Elements of one input row.
                inputs: u32,
                /// Elements of one output row.
                outputs: u32,
                /// Zero point of the output.
                output_zero_point: i32,
                /// Least output, the fused activation's or the type's.
                min: i32,
                /// Greatest output.
                max: i32,
            }
            images i8, (weights: $Weight, channels: i32)
            distances |p, sizes| Vectors::<i8, 1>::distances([p.inputs, p.outputs], sizes)
        }

        #[inline(always)]
        fn $name(
            p: &$Params,
            images: Images<'_, i8>,
            weights: &[$Weight],
            channels: &[i32],
        ) {
            let finish = <$Packing as Packing<i8>>::Finish::new(p.output_zero_point, p.min, p.max);
            let (words, _) = channels.as_chunks();
            let vectors = Vectors::new(images, p.inputs, p.outputs);
            each::<_, $Packing>(vectors, p.inputs, p.outputs, weights, words, &finish);
        }
    };
}

fully_connected_i8! {
    /// Weights and the table of channels are packed as [`crate::dot`] says; all multipliers are
    /// below one quarter.
    fully_connected_i8 FullyConnectedI8 Interleaved<RequantizeI8>, i8
}

fully_connected_i8! {
    /// As [`FullyConnectedI8`], for any multiplier.
    fully_connected_any_i8 FullyConnectedAnyI8 Interleaved<RequantizeAnyI8>, i8
}

fully_connected_i8! {
    /// As [`FullyConnectedI8`], weights as [`crate::arch::dsp`] takes them.
    fully_connected_pairs_i8 FullyConnectedPairsI8 Pairs, i32
}

kernel! {
    /// As [`FullyConnectedI8`], weights and table as [`crate::arch::v6m`] takes them.
    fully_connected_eights_i8 version 1
    params FullyConnectedEightsI8 {
        /// Elements of one input row.
        inputs: u32,
        /// Elements of one output row.
        outputs: u32,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output, the fused activation's or the type's.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    images i8, (weights: i8, channels: i32)
    distances |p, sizes| Vectors::<i8, 1>::distances([p.inputs, p.outputs], sizes)
}

#[inline(always)]
fn fully_connected_eights_i8(
    p: &FullyConnectedEightsI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
) {
    let finish = RequantizeShiftI8::new(p.output_zero_point, p.min, p.max);
    let (words, _) = channels.as_chunks();
    let mut vectors = Vectors::<_, 1>::new(images, p.inputs, p.outputs);
    while let Some((mut input, output)) = vectors.next() {
        let mut runs = Runs::<1>::new();
        for out in output.whole_chunks_mut((p.outputs as usize).max(1)) {
            let Some((row, later)) = input.split_at_checked(p.inputs as usize) else { return };
            input = later;
            runs.clear();
            runs.push(row, row.len());
            v6m::outputs(&runs, 0, weights, words, out, finish.zero_point());
            finish.narrow(out);
        }
    }
}

kernel! {
    /// As [`FullyConnectedThreesI8`], row by row: for layers that have one.
    fully_connected_row_i8 version 1
    params FullyConnectedRowI8 {
        /// Elements of one input row.
        inputs: u32,
        /// Elements of one output row.
        outputs: u32,
        /// Zero point of the output, in the range of outputs.
        output_zero_point: i32,
        /// Least output, the fused activation's or the type's.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    images i8, (weights: i8, channels: i32)
    distances |p, sizes| Vectors::<i8, 1>::distances([p.inputs, p.outputs], sizes)
}

#[inline(always)]
fn fully_connected_row_i8(
    p: &FullyConnectedRowI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
) {
    let (table, _) = channels.as_chunks();
    let channels = (p.outputs as usize).max(1);
    let finish = rv32::Finish::new(p.output_zero_point, p.min, p.max);
    let layer = rv32::Layer { weights, table, channels, longest: 0, finish };
    let mut vectors = Vectors::<_, 1>::new(images, p.inputs, p.outputs);
    while let Some((mut input, output)) = vectors.next() {
        for out in output.whole_chunks_mut(channels) {
            let Some((row, later)) = input.split_at_checked(p.inputs as usize) else { return };
            input = later;
            rv32::row(&layer, row, out);
        }
    }
}

kernel! {
    /// As [`FullyConnectedI8`], weights and table as [`crate::arch::rv32`] takes them.
    fully_connected_threes_i8 version 1
    params FullyConnectedThreesI8 {
        /// Elements of one input row.
        inputs: u32,
        /// Elements of one output row.
        outputs: u32,
        /// Zero point of the output, in the range of outputs.
        output_zero_point: i32,
        /// Least output, the fused activation's or the type's.
        min: i32,
        /// Greatest output.
        max: i32,
        /// How many neighboring inputs have room for their sums; 0 when a whole row has.
        longest: u32,
    }
    images i8, (weights: i8, channels: i32)
    distances |p, sizes| Vectors::<i8, PLACES>::distances([p.inputs, p.outputs], sizes)
}

#[inline(always)]
fn fully_connected_threes_i8(
    p: &FullyConnectedThreesI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
) {
    let (table, _) = channels.as_chunks();
    let (inputs, outputs) = (p.inputs as usize, (p.outputs as usize).max(1));
    let finish = rv32::Finish::new(p.output_zero_point, p.min, p.max);
    let layer =
        rv32::Layer { weights, table, channels: outputs, longest: p.longest as usize, finish };
    let mut vectors = Vectors::<_, PLACES>::new(images, p.inputs, p.outputs);
    while let Some((input, output)) = vectors.next() {
        threes(&layer, inputs, input, output);
    }
}

/// All rows, three at a time or, where that is possible, six.
#[inline(always)]
fn threes(layer: &rv32::Layer<'_>, inputs: usize, mut input: &[i8], mut output: &mut [i8]) {
    #[cfg(all(target_arch = "riscv32", feature = "rv32"))]
    six_rows(layer, inputs, &mut input, &mut output);
    let outputs = layer.channels;
    let mut runs = rv32::Runs::<1>::new();
    loop {
        // As many rows as there are, up to three.
        let (mut places, mut taken, mut given) = (0, 0usize, 0usize);
        while places < PLACES {
            let (more, more_given) = (taken.wrapping_add(inputs), given.wrapping_add(outputs));
            if input.len() < more || output.len() < more_given {
                break;
            }
            (places, taken, given) = (places.wrapping_add(1), more, more_given);
        }
        let (rows, later) = input.split_at_checked(taken).unwrap_or_default();
        input = later;
        let (out, later) =
            core::mem::take(&mut output).split_at_mut_checked(given).unwrap_or_default();
        output = later;
        if out.is_empty() {
            return;
        }
        // A row that is missing is the last one.
        let second = if places > 1 { rows.get(inputs..).unwrap_or(&[]) } else { rows };
        let third = if places > 2 { second.get(inputs..).unwrap_or(&[]) } else { second };
        runs.clear();
        runs.push([rows, second, third], inputs);
        rv32::outputs(layer, &runs, Lines::ONE, out);
    }
}

/// Computes rows six at a time and cuts them off, while that many are there and the outputs of later rows have room
/// for what is kept in between.
#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
#[inline(always)]
fn six_rows(layer: &rv32::Layer<'_>, inputs: usize, input: &mut &[i8], output: &mut &mut [i8]) {
    use rv32::sixes::{self, ROWS};
    let (taken, given) = (inputs.wrapping_mul(ROWS), layer.channels.wrapping_mul(ROWS));
    while let Some((rows, later)) = input.split_at_checked(taken) {
        if !sixes::outputs(layer, rows, inputs, output) {
            return;
        }
        let (_, rest) = core::mem::take(output).split_at_mut_checked(given).unwrap_or_default();
        (*input, *output) = (later, rest);
    }
}

kernel! {
    /// As [`FullyConnectedI8`], weights and table as [`crate::arch::helium`] takes them.
    fully_connected_rows_i8 version 1
    params FullyConnectedRowsI8 {
        /// Elements of one input row.
        inputs: u32,
        /// Elements of one output row.
        outputs: u32,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    images i8, (weights: i8, channels: i32)
    distances |p, sizes| Vectors::<i8, PLACES>::distances([p.inputs, p.outputs], sizes)
}

#[inline(always)]
fn fully_connected_rows_i8(
    p: &FullyConnectedRowsI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
) {
    let (words, _) = channels.as_chunks();
    let (table, _) = words.as_chunks();
    let channels = p.outputs as usize;
    let layer = helium::Layer { weights, table, channels, zero_point: p.output_zero_point };
    let mut vectors = Vectors::<_, PLACES>::new(images, p.inputs, p.outputs);
    while let Some((input, output)) = vectors.next() {
        helium::rows(input, p.inputs as usize, &layer, output);
        helium::narrow(output, p.min, p.max);
    }
}

kernel! {
    /// f32 fully connected layer. Weights are packed as [`crate::dot`] says.
    fully_connected_f32 version 1
    params FullyConnectedF32 {
        /// Elements of one input row.
        inputs: u32,
        /// Elements of one output row.
        outputs: u32,
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32,
    }
    images f32, (weights: f32, bias: f32)
    distances |p, sizes| Vectors::<f32, 1>::distances([p.inputs, p.outputs], sizes)
}

#[inline(always)]
fn fully_connected_f32(
    p: &FullyConnectedF32,
    images: Images<'_, f32>,
    weights: &[f32],
    bias: &[f32],
) {
    let finish = ClampF32 { min: p.min, max: p.max };
    let vectors = Vectors::new(images, p.inputs, p.outputs);
    each::<_, Interleaved<ClampF32>>(vectors, p.inputs, p.outputs, weights, bias, &finish);
}

/// One row after the other.
#[inline(always)]
fn each<T: Lane, P: Packing<T>>(
    mut vectors: Vectors<'_, T, 1>,
    inputs: u32,
    outputs: u32,
    weights: &[P::Weight],
    words: &[Words<T, P>],
    finish: &P::Finish,
) {
    while let Some((mut input, output)) = vectors.next() {
        for out in output.whole_chunks_mut((outputs as usize).max(1)) {
            let Some((row, later)) = input.split_at_checked(inputs as usize) else { return };
            input = later;
            dot::outputs::<T, P>(row, weights, words, out, finish);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, eights, fours, interleave, overlapping, requantize, shifts, tables};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn any_layer_is_the_plain_sum(
            (rows, inputs, outputs) in (0usize..4, 1usize..20, 1usize..11),
            seed: u64,
        ) {
            let input = bytes(seed, rows * inputs);
            let weights = bytes(!seed, inputs * outputs);
            let [plain, any] = tables(outputs);
            let expected: Vec<i8> = (0..rows * outputs)
                .map(|at| {
                    let (row, output) = (at / outputs, at % outputs);
                    let sum = (0..inputs).map(|k| {
                        i32::from(input[row * inputs + k]) * i32::from(weights[output * inputs + k])
                    });
                    requantize(sum.sum(), &any[output * 3..], 3, -128, 127)
                })
                .collect();
            let packed = interleave(&weights, inputs);
            let (inputs, outputs) = (inputs as u32, outputs as u32);
            let mut output = vec![0; expected.len()];
            let kernel =
                FullyConnectedI8 { inputs, outputs, output_zero_point: 3, min: -128, max: 127 };
            kernel.run(&input, &packed, &plain, &mut output);
            prop_assert_eq!(&output, &expected);
            let sizes = [input.len() as u64, expected.len() as u64];
            if let Some(distances) = Vectors::<i8, 1>::distances([inputs, outputs], sizes) {
                for output in overlapping(distances, &input, &expected, |memory, input, output| {
                    kernel.run_overlapping(memory, input, output, &packed, &plain);
                }) {
                    prop_assert_eq!(&output, &expected);
                }
            } else {
                prop_assert_eq!(rows, 0);
            }
            FullyConnectedAnyI8 { inputs, outputs, output_zero_point: 3, min: -128, max: 127 }
                .run(&input, &packed, &any, &mut output);
            prop_assert_eq!(&output, &expected);
            FullyConnectedRowsI8 { inputs, outputs, output_zero_point: 3, min: -128, max: 127 }
                .run(&input, &weights, &fours(&any), &mut output);
            prop_assert_eq!(&output, &expected);
            let (packed, words) = (eights(&weights, inputs as usize, i8::MIN), shifts(&any));
            for (min, max) in [(-128, 127), (-20, 30)] {
                FullyConnectedEightsI8 { inputs, outputs, output_zero_point: 3, min, max }
                    .run(&input, &packed, &words, &mut output);
                let expected: Vec<i8> =
                    expected.iter().map(|&value| value.clamp(min as i8, max as i8)).collect();
                prop_assert_eq!(&output, &expected);
                let packed = eights(&weights, inputs as usize, 0);
                for longest in [0, 3] {
                    output.fill(0);
                    let kernel = FullyConnectedThreesI8 {
                        inputs, outputs, output_zero_point: 3, min, max, longest,
                    };
                    kernel.run(&input, &packed, &words, &mut output);
                    prop_assert_eq!(&output, &expected);
                    let distances = Vectors::<i8, PLACES>::distances([inputs, outputs], sizes);
                    let over = distances.map(|distances| {
                        overlapping(distances, &input, &expected, |memory, from, to| {
                            kernel.run_overlapping(memory, from, to, &packed, &words);
                        })
                    });
                    for output in over.iter().flatten() {
                        prop_assert_eq!(output, &expected);
                    }
                }
                output.fill(0);
                FullyConnectedRowI8 { inputs, outputs, output_zero_point: 3, min, max }
                    .run(&input, &packed, &words, &mut output);
                prop_assert_eq!(&output, &expected);
            }
        }
    }

    #[test]
    fn what_is_missing_is_left_alone() {
        let kernel =
            FullyConnectedI8 { inputs: 4, outputs: 6, output_zero_point: 0, min: -128, max: 127 };
        let mut output = [7; 12];
        kernel.run(&[1; 5], &[1; 20], &[0; 14], &mut output);
        kernel.run(&[], &[], &[], &mut output);
        assert_eq!(output[6..], [7; 6]);
    }

    #[test]
    fn f32_rows_have_their_bias_last() {
        let kernel = FullyConnectedF32 { inputs: 2, outputs: 1, min: f32::MIN, max: f32::MAX };
        let mut output = [0.0; 2];
        kernel.run(&[1.0, 2.0, f32::NAN, 0.0], &[3.0, 4.0], &[0.5], &mut output);
        assert_eq!(output[0], 11.5);
        assert!(output[1].is_nan());
    }
}
