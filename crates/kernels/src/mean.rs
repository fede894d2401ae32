//! Means along one axis of `[outer, count, inner]`; operators bring others into that form: TFLite MEAN.

use crate::chunks::Chunks;
use crate::columns::Runs;
use crate::fixed::multiply_by_quantized_multiplier;

/// Declares the kernel of a quantized mean.
macro_rules! quantized {
    ($name:ident $Params:ident $element:ty) => {
        kernel! {
            /// Quantized mean: `scaled(sum(x) - offset) + zero_point`, saturated, for each element of
            /// `[outer, inner]`; the input is `[outer, count, inner]`.
            $name version 1
            params $Params {
                /// Elements of one mean.
                count: u32,
                /// Elements from one of them to the next.
                inner: u32,
                /// Zero point of the input times `count`.
                offset: i32,
                /// Multiplier, the division by `count` included.
                multiplier: i32,
                /// Shift, positive to the left.
                shift: i32,
                /// Zero point of the output.
                zero_point: i32,
            }
            operands (input input: $element, output output: $element)
        }

        #[inline(always)]
        fn $name(p: &$Params, input: &[$element], output: &mut [$element]) {
            reduce(
                (p.count, p.inner),
                input,
                output,
                0i32,
                |sum, x| sum.wrapping_add(i32::from(x)),
                |sum| {
                    let sum = sum.wrapping_sub(p.offset);
                    let scaled = multiply_by_quantized_multiplier(sum, p.multiplier, p.shift);
                    let (min, max) = (i32::from(<$element>::MIN), i32::from(<$element>::MAX));
                    scaled.wrapping_add(p.zero_point).max(min).min(max) as $element
                },
            );
        }
    };
}

quantized! { mean_i8 MeanI8 i8 }
quantized! { mean_i16 MeanI16 i16 }

kernel! {
    /// f32 mean of `[outer, count, inner]` for each element of `[outer, inner]`: the sum, in order, divided
    /// by the count.
    mean_f32 version 1
    params MeanF32 {
        /// Elements of one mean.
        count: u32,
        /// Elements from one of them to the next.
        inner: u32,
    }
    operands (input input: f32, output output: f32)
}

#[inline(always)]
fn mean_f32(p: &MeanF32, input: &[f32], output: &mut [f32]) {
    let count = p.count as f32;
    reduce((p.count, p.inner), input, output, 0f32, |sum, x| sum + x, |sum| sum / count);
}

/// Reduces the middle axis.
#[inline(always)]
fn reduce<T: Copy, S: Copy>(
    p: (u32, u32),
    mut input: &[T],
    output: &mut [T],
    start: S,
    add: impl Fn(S, T) -> S,
    finish: impl Fn(S) -> T,
) {
    let (count, inner) = (p.0 as usize, (p.1 as usize).max(1));
    let len = count.wrapping_mul(inner);
    for out in output.whole_chunks_mut(inner) {
        let Some((data, later)) = input.split_at_checked(len) else { return };
        input = later;
        Runs { data, inner, first: 0, len, step: 0, count: 1 }.reduce(out, start, &add, &finish);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, rescale};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn any_mean_is_the_plain_one(
            (outer, count, inner) in (0usize..4, 1usize..20, 1usize..11),
            (multiplier, shift) in ((1i32 << 29)..=i32::MAX, -31i32..3),
            (offset, zero_point) in (-2560i32..2560, -128i32..128),
            seed: u64,
        ) {
            let input = bytes(seed, outer * count * inner);
            let mut output = vec![0; outer * inner];
            MeanI8 { count: count as u32, inner: inner as u32, offset, multiplier, shift, zero_point }
                .run(&input, &mut output);
            for (at, &got) in output.iter().enumerate() {
                let (o, i) = (at / inner, at % inner);
                let sum: i32 = (0..count).map(|k| i32::from(input[(o * count + k) * inner + i])).sum();
                let wanted = rescale(sum - offset, multiplier, shift) + i128::from(zero_point);
                prop_assert_eq!(i128::from(got), wanted.clamp(-128, 127));
            }

            let floats: Vec<f32> = input.iter().map(|&x| f32::from(x)).collect();
            let mut output = vec![0.0; outer * inner];
            MeanF32 { count: count as u32, inner: inner as u32 }.run(&floats, &mut output);
            for (at, &got) in output.iter().enumerate() {
                let (o, i) = (at / inner, at % inner);
                let sum: f32 = (0..count).map(|k| floats[(o * count + k) * inner + i]).sum();
                prop_assert_eq!(got, sum / count as f32);
            }
        }
    }

    #[test]
    fn a_16_bit_mean_saturates() {
        let kernel =
            MeanI16 { count: 2, inner: 1, offset: 0, multiplier: 1 << 30, shift: 1, zero_point: 0 };
        let mut output = [0; 2];
        kernel.run(&[i16::MAX, i16::MAX, -3, -4], &mut output);
        assert_eq!(output, [i16::MAX, -7]);
    }
}
