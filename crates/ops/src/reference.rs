//! Fixed-point arithmetic for the reference meanings, written as the sources write it (gemmlowp
//! `fixedpoint.h`, TensorFlow Lite `kernels/internal/common.h`). Deliberately not the kernels' code:
//! the two check each other.

use kinglet_graph::Tensor;

/// gemmlowp `SaturatingRoundingDoublingHighMul`.
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1i64 << 30 } else { 1 - (1i64 << 30) };
    ((product + nudge) / (1i64 << 31)) as i32
}

/// gemmlowp `RoundingDivideByPOT`.
pub fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let mask = ((1i64 << exponent) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (i64::from(x) >> exponent) as i32 + i32::from(remainder > threshold)
}

/// TensorFlow Lite `MultiplyByQuantizedMultiplier` with two roundings.
pub fn multiply_by_quantized_multiplier(x: i32, multiplier: i32, shift: i32) -> i32 {
    let left = shift.max(0).unsigned_abs();
    let right = (-shift).max(0).unsigned_abs();
    let shifted = x.wrapping_shl(left);
    rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, multiplier), right)
}

/// Clamps f32 as C++'s `std::min(std::max(x, min), max)`: a NaN passes.
pub fn clamp_f32(x: f32, min: f32, max: f32) -> f32 {
    let raised = if x < min { min } else { x };
    if max < raised { max } else { raised }
}

/// The flat index of a place in a tensor.
pub fn index(tensor: &Tensor, place: &[usize]) -> usize {
    tensor.shape().iter().zip(place).fold(0, |index, (&len, &at)| index * len + at)
}

/// An output of this shape, element by element in order: each is the element of the input at the place
/// that `source` names, or `outside` where it names none. Elements are `size` bytes.
pub fn gather(
    input: &Tensor,
    bytes: &[u8],
    size: usize,
    shape: &[usize],
    outside: &[u8],
    mut source: impl FnMut(&[usize]) -> Option<Vec<usize>>,
) -> Vec<u8> {
    let len: usize = shape.iter().product();
    let mut output = Vec::with_capacity(len * size);
    let mut place = vec![0; shape.len()];
    for flat in 0..len {
        let mut rest = flat;
        for (at, &dim) in place.iter_mut().zip(shape).rev() {
            *at = rest % dim;
            rest /= dim;
        }
        let from = source(&place).map(|place| index(input, &place) * size);
        output.extend_from_slice(from.map_or(outside, |from| &bytes[from..from + size]));
    }
    output
}
