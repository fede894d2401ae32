//! Matrix times vector: TFLite FULLY_CONNECTED, and CONV_2D with a window of one place.

use crate::arch::helium;
use crate::arch::v6m::{self, Runs};
use crate::chunks::Chunks;
use crate::dot::{
    self, ClampF32, Interleaved, Lane, Packing, Pairs, RequantizeAnyI8, RequantizeI8,
    RequantizeShiftI8, Words,
};

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
            operands (input input: i8, constant weights: $Weight, constant channels: i32, output output: i8)
        }

        #[inline(always)]
        fn $name(
            p: &$Params,
            input: &[i8],
            weights: &[$Weight],
            channels: &[i32],
            output: &mut [i8],
        ) {
            let finish = <$Packing as Packing<i8>>::Finish::new(p.output_zero_point, p.min, p.max);
            let (words, _) = channels.as_chunks();
            rows::<_, $Packing>(p.inputs, p.outputs, input, weights, words, output, &finish);
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
    operands (input input: i8, constant weights: i8, constant channels: i32, output output: i8)
}

#[inline(always)]
fn fully_connected_eights_i8(
    p: &FullyConnectedEightsI8,
    mut input: &[i8],
    weights: &[i8],
    channels: &[i32],
    output: &mut [i8],
) {
    let finish = RequantizeShiftI8::new(p.output_zero_point, p.min, p.max);
    let (words, _) = channels.as_chunks();
    let (inputs, outputs) = (p.inputs as usize, (p.outputs as usize).max(1));
    let mut runs = Runs::<1>::new();
    for out in output.whole_chunks_mut(outputs) {
        let Some((row, later)) = input.split_at_checked(inputs) else { return };
        input = later;
        runs.clear();
        runs.push(row, inputs);
        v6m::outputs(&runs, 0, weights, words, out, finish.zero_point());
        finish.narrow(out);
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
    operands (input input: i8, constant weights: i8, constant channels: i32, output output: i8)
}

#[inline(always)]
fn fully_connected_rows_i8(
    p: &FullyConnectedRowsI8,
    input: &[i8],
    weights: &[i8],
    channels: &[i32],
    output: &mut [i8],
) {
    let (words, _) = channels.as_chunks();
    let (table, _) = words.as_chunks();
    let channels = p.outputs as usize;
    let layer = helium::Layer { weights, table, channels, zero_point: p.output_zero_point };
    helium::rows(input, p.inputs as usize, &layer, output);
    helium::narrow(output, p.min, p.max);
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
    operands (input input: f32, constant weights: f32, constant bias: f32, output output: f32)
}

#[inline(always)]
fn fully_connected_f32(
    p: &FullyConnectedF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    let finish = ClampF32 { min: p.min, max: p.max };
    rows::<_, Interleaved<ClampF32>>(p.inputs, p.outputs, input, weights, bias, output, &finish);
}

/// One row after the other.
#[inline(always)]
fn rows<T: Lane, P: Packing<T>>(
    inputs: u32,
    outputs: u32,
    mut input: &[T],
    weights: &[P::Weight],
    words: &[Words<T, P>],
    output: &mut [T],
    finish: &P::Finish,
) {
    let outputs = (outputs as usize).max(1);
    for out in output.whole_chunks_mut(outputs) {
        let Some((row, later)) = input.split_at_checked(inputs as usize) else { return };
        input = later;
        dot::outputs::<T, P>(row, weights, words, out, finish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, eights, fours, interleave, requantize, shifts, tables};
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
            FullyConnectedI8 { inputs, outputs, output_zero_point: 3, min: -128, max: 127 }
                .run(&input, &packed, &plain, &mut output);
            prop_assert_eq!(&output, &expected);
            FullyConnectedAnyI8 { inputs, outputs, output_zero_point: 3, min: -128, max: 127 }
                .run(&input, &packed, &any, &mut output);
            prop_assert_eq!(&output, &expected);
            FullyConnectedRowsI8 { inputs, outputs, output_zero_point: 3, min: -128, max: 127 }
                .run(&input, &weights, &fours(&any), &mut output);
            prop_assert_eq!(&output, &expected);
            let (packed, words) = (eights(&weights, inputs as usize), shifts(&any));
            for (min, max) in [(-128, 127), (-20, 30)] {
                FullyConnectedEightsI8 { inputs, outputs, output_zero_point: 3, min, max }
                    .run(&input, &packed, &words, &mut output);
                let expected: Vec<i8> =
                    expected.iter().map(|&value| value.clamp(min as i8, max as i8)).collect();
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
