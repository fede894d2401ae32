//! From one integer type and scale to another: TFLite QUANTIZE between integers. Both sides of 8 bits
//! are a table instead ([`crate::LookupU8`]).

use crate::fixed::multiply_by_quantized_multiplier;

/// One kernel for each pair of element types.
macro_rules! requantize {
    ($($name:ident $Params:ident $from:ident $to:ident;)*) => { $(
        kernel! {
            #[doc = concat!("From ", stringify!($from), " to ", stringify!($to), ": the product of \
                `input - input_zero_point` and the multiplier, plus the output's zero point, \
                saturated to the type.")]
            $name version 1
            params $Params {
                /// Zero point of the input.
                input_zero_point: i32,
                /// Zero point of the output.
                output_zero_point: i32,
                /// The quotient of the scales, see
                /// [`crate::fixed::multiply_by_quantized_multiplier`].
                multiplier: i32,
                /// Its power of two.
                shift: i32,
            }
            operands (input input: $from, output output: $to)
        }

        #[inline(always)]
        fn $name(p: &$Params, input: &[$from], output: &mut [$to]) {
            for (to, from) in output.iter_mut().zip(input) {
                let value = i32::from(*from).wrapping_sub(p.input_zero_point);
                let scaled = multiply_by_quantized_multiplier(value, p.multiplier, p.shift);
                let moved = scaled.wrapping_add(p.output_zero_point);
                *to = moved.max(i32::from(<$to>::MIN)).min(i32::from(<$to>::MAX)) as $to;
            }
        }
    )* };
}

requantize! {
    requantize_i8_i16 RequantizeI8I16 i8 i16;
    requantize_i8_i32 RequantizeI8I32 i8 i32;
    requantize_u8_i16 RequantizeU8I16 u8 i16;
    requantize_i16_i8 RequantizeI16I8 i16 i8;
    requantize_i16_u8 RequantizeI16U8 i16 u8;
    requantize_i16_i16 RequantizeI16I16 i16 i16;
    requantize_i16_i32 RequantizeI16I32 i16 i32;
    requantize_i32_i8 RequantizeI32I8 i32 i8;
    requantize_i32_i16 RequantizeI32I16 i32 i16;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition on wide integers, for products that stay inside 32 bits.
    fn plain(value: i64, zero: i64, multiplier: i64, shift: i64, out_zero: i64) -> i64 {
        let left = if shift > 0 { shift } else { 0 };
        let product = ((value - zero) << left) * multiplier;
        let high = (product + (1 << 30)) >> 31;
        let right = if shift < 0 { -shift } else { 0 };
        let half = if right > 0 { 1i64 << (right - 1) } else { 0 };
        let magnitude = (high.abs() + half) >> right;
        (if high < 0 { -magnitude } else { magnitude }) + out_zero
    }

    proptest! {
        #[test]
        fn is_the_definition(
            values in proptest::collection::vec(any::<i16>(), 1..30),
            zero in -128i32..=127,
            out_zero in -128i32..=127,
            multiplier in (1i32 << 30)..=i32::MAX,
            shift in -31i32..=13,
        ) {
            let p = RequantizeI16I8 {
                input_zero_point: zero, output_zero_point: out_zero, multiplier, shift,
            };
            let mut narrow = std::vec![0i8; values.len()];
            p.run(&values, &mut narrow);
            let p = RequantizeI16I32 {
                input_zero_point: zero, output_zero_point: out_zero, multiplier, shift,
            };
            let mut wide = std::vec![0i32; values.len()];
            p.run(&values, &mut wide);
            for ((value, narrow), wide) in values.iter().zip(narrow).zip(wide) {
                let expected = plain(
                    i64::from(*value), zero.into(), multiplier.into(), shift.into(), out_zero.into(),
                );
                prop_assert_eq!(i64::from(narrow), expected.clamp(-128, 127));
                prop_assert_eq!(i64::from(wide), expected);
            }
        }
    }

    #[test]
    fn unsigned_outputs_saturate_at_both_ends() {
        let p = RequantizeI16U8 {
            input_zero_point: 0,
            output_zero_point: 128,
            multiplier: 1 << 30,
            shift: 1,
        };
        let mut output = [0u8; 4];
        p.run(&[i16::MIN, -1, 1, i16::MAX], &mut output);
        assert_eq!(output, [0, 127, 129, 255]);
    }
}
