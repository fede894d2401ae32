//! Matrix times vector: TFLite FULLY_CONNECTED.

use crate::chunks::Chunks;
use crate::dot::{self, ClampF32, Finish, Lane, RequantizeI8};

kernel! {
    /// int8 fully connected layer, weights per tensor or per channel.
    ///
    /// Weights are packed as [`crate::dot`] says. `channels` has three words for each output channel:
    /// the bias with the input's zero point folded in (`bias - zero_point * sum(weights)`), the
    /// multiplier and the shift of [`crate::fixed::multiply_by_quantized_multiplier`].
    fully_connected_i8 version 1
    params FullyConnectedI8 {
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
fn fully_connected_i8(
    p: &FullyConnectedI8,
    input: &[i8],
    weights: &[i8],
    channels: &[i32],
    output: &mut [i8],
) {
    let finish = RequantizeI8 { zero_point: p.output_zero_point, min: p.min, max: p.max };
    rows(p.inputs, p.outputs, input, weights, channels, output, &finish);
}

#[inline(always)]
fn fully_connected_f32(
    p: &FullyConnectedF32,
    input: &[f32],
    weights: &[f32],
    bias: &[f32],
    output: &mut [f32],
) {
    rows(p.inputs, p.outputs, input, weights, bias, output, &ClampF32 { min: p.min, max: p.max });
}

/// One row after the other.
#[inline(always)]
fn rows<T: Lane, F: Finish<T>>(
    inputs: u32,
    outputs: u32,
    input: &[T],
    weights: &[T],
    channels: &[F::Word],
    output: &mut [T],
    finish: &F,
) {
    let inputs = (inputs as usize).max(1);
    let outputs = (outputs as usize).max(1);
    for (row, out) in input.whole_chunks(inputs).zip(output.whole_chunks_mut(outputs)) {
        dot::outputs(inputs, weights, channels, out, finish, row);
    }
}
