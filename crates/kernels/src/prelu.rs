//! A slope of its own below zero for each channel: TFLite PRELU.

use crate::fixed::{multiply_by_quantized_multiplier, to_i8};

/// The int8 kernel and its in-place form, which differ only in their operands.
macro_rules! prelu_i8 {
    ($($(#[$doc:meta])* $name:ident $Params:ident ($($operands:tt)*);)*) => { $(
        kernel! {
            $(#[$doc])*
            $name version 1
            params $Params {
                /// Zero point of the input.
                input_zero_point: i32,
                /// Zero point of alpha.
                alpha_zero_point: i32,
                /// Zero point of the output.
                output_zero_point: i32,
                /// Multiplier of an input that is not negative.
                multiplier: i32,
                /// Its power of two.
                shift: i32,
                /// Multiplier of the product of a negative input and alpha.
                product_multiplier: i32,
                /// Its power of two.
                product_shift: i32,
            }
            operands ($($operands)*)
        }

        impl $Params {
            #[inline(always)]
            fn value(&self, input: i8, alpha: i8) -> i8 {
                let input = i32::from(input).wrapping_sub(self.input_zero_point);
                let scaled = if input >= 0 {
                    multiply_by_quantized_multiplier(input, self.multiplier, self.shift)
                } else {
                    let alpha = i32::from(alpha).wrapping_sub(self.alpha_zero_point);
                    let product = input.wrapping_mul(alpha);
                    multiply_by_quantized_multiplier(
                        product,
                        self.product_multiplier,
                        self.product_shift,
                    )
                };
                to_i8(scaled, self.output_zero_point, -128, 127)
            }
        }
    )* };
}

prelu_i8! {
    /// int8. `alpha` is repeated over the input as often as it fits.
    prelu_i8 PreluI8 (input input: i8, input alpha: i8, output output: i8);

    /// [`PreluI8`] with the output in place of the input.
    prelu_i8_in_place PreluI8InPlace (inout data: i8, input alpha: i8);
}

kernel! {
    /// f32. `alpha` is repeated over the input as often as it fits.
    prelu_f32 version 1
    params PreluF32 {}
    operands (input input: f32, input alpha: f32, output output: f32)
}

kernel! {
    /// [`PreluF32`] with the output in place of the input.
    prelu_f32_in_place version 1
    params PreluF32InPlace {}
    operands (inout data: f32, input alpha: f32)
}

#[inline(always)]
fn prelu_i8(p: &PreluI8, input: &[i8], alpha: &[i8], output: &mut [i8]) {
    let period = alpha.len().max(1);
    for (inputs, outputs) in input.chunks(period).zip(output.chunks_mut(period)) {
        for ((from, to), alpha) in inputs.iter().zip(outputs).zip(alpha) {
            *to = p.value(*from, *alpha);
        }
    }
}

#[inline(always)]
fn prelu_i8_in_place(p: &PreluI8InPlace, data: &mut [i8], alpha: &[i8]) {
    for values in data.chunks_mut(alpha.len().max(1)) {
        for (value, alpha) in values.iter_mut().zip(alpha) {
            *value = p.value(*value, *alpha);
        }
    }
}

#[inline(always)]
fn prelu_f32(_p: &PreluF32, input: &[f32], alpha: &[f32], output: &mut [f32]) {
    let period = alpha.len().max(1);
    for (inputs, outputs) in input.chunks(period).zip(output.chunks_mut(period)) {
        for ((from, to), alpha) in inputs.iter().zip(outputs).zip(alpha) {
            *to = value_f32(*from, *alpha);
        }
    }
}

#[inline(always)]
fn prelu_f32_in_place(_p: &PreluF32InPlace, data: &mut [f32], alpha: &[f32]) {
    for values in data.chunks_mut(alpha.len().max(1)) {
        for (value, alpha) in values.iter_mut().zip(alpha) {
            *value = value_f32(*value, *alpha);
        }
    }
}

#[inline(always)]
fn value_f32(input: f32, alpha: f32) -> f32 {
    if input >= 0.0 { input } else { input * alpha }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Half away from zero, on wide integers; both roundings at once differ, so in two steps.
    fn scale(value: i64, multiplier: i64, shift: i64) -> i64 {
        let left = shift.max(0);
        let high = ((value << left) * multiplier + (1 << 30)) >> 31;
        let right = (-shift).max(0);
        let half = if right > 0 { 1i64 << (right - 1) } else { 0 };
        let magnitude = (high.abs() + half) >> right;
        if high < 0 { -magnitude } else { magnitude }
    }

    proptest! {
        #[test]
        fn integers_are_the_definition(
            input in proptest::collection::vec(any::<i8>(), 1..60),
            alpha in proptest::collection::vec(any::<i8>(), 1..7),
            zeros in proptest::array::uniform3(-128i32..=127),
            multipliers in proptest::array::uniform2((1i32 << 30)..=i32::MAX),
            shift in -31i32..=12,
            product_shift in -31i32..=12,
        ) {
            let p = PreluI8 {
                input_zero_point: zeros[0],
                alpha_zero_point: zeros[1],
                output_zero_point: zeros[2],
                multiplier: multipliers[0],
                shift,
                product_multiplier: multipliers[1],
                product_shift,
            };
            let mut output = std::vec![0; input.len()];
            p.run(&input, &alpha, &mut output);
            for (i, (&x, &y)) in input.iter().zip(&output).enumerate() {
                let x = i64::from(x) - i64::from(zeros[0]);
                let slope = i64::from(alpha[i % alpha.len()]) - i64::from(zeros[1]);
                let scaled = if x >= 0 {
                    scale(x, multipliers[0].into(), shift.into())
                } else {
                    scale(x * slope, multipliers[1].into(), product_shift.into())
                };
                prop_assert_eq!(i64::from(y), (scaled + i64::from(zeros[2])).clamp(-128, 127));
            }
            let mut data = input.clone();
            let in_place = PreluI8InPlace {
                input_zero_point: p.input_zero_point,
                alpha_zero_point: p.alpha_zero_point,
                output_zero_point: p.output_zero_point,
                multiplier: p.multiplier,
                shift: p.shift,
                product_multiplier: p.product_multiplier,
                product_shift: p.product_shift,
            };
            in_place.run(&mut data, &alpha);
            prop_assert_eq!(data, output);
        }
    }

    #[test]
    fn floats() {
        let input = [1.0, -1.0, -2.0, f32::NAN, -0.0];
        let mut output = [0.0; 5];
        PreluF32 {}.run(&input, &[0.5, 0.25], &mut output);
        assert_eq!(output[..3], [1.0, -0.25, -1.0]);
        assert!(output[3].is_nan());
        assert!(output[4].is_sign_negative());
        let mut data = input;
        PreluF32InPlace {}.run(&mut data, &[0.5, 0.25]);
        assert_eq!(data.map(f32::to_bits), output.map(f32::to_bits));
    }
}
