//! Between f32 and quantized integers: TFLite QUANTIZE and DEQUANTIZE.

use crate::fixed::clamp_f32;

/// One kernel for each integer type.
macro_rules! quantize {
    ($($name:ident $Params:ident $back:ident $Back:ident $to:ident;)*) => { $(
        kernel! {
            #[doc = concat!("From f32 to ", stringify!($to), ": `round(input / scale) + zero_point`, \
                half away from zero, saturated; NaN becomes the zero point.")]
            $name version 1
            params $Params {
                /// Scale of the output.
                scale: f32,
                /// Zero point of the output.
                zero_point: i32,
            }
            operands (input input: f32, output output: $to)
        }

        kernel! {
            #[doc = concat!("From ", stringify!($to), " to f32: `scale * (input - zero_point)`.")]
            $back version 1
            params $Back {
                /// Scale of the input.
                scale: f32,
                /// Zero point of the input.
                zero_point: i32,
            }
            operands (input input: $to, output output: f32)
        }

        #[inline(always)]
        fn $name(p: &$Params, input: &[f32], output: &mut [$to]) {
            for (to, from) in output.iter_mut().zip(input) {
                let moved = round(*from / p.scale).wrapping_add(p.zero_point);
                *to = moved.max(i32::from(<$to>::MIN)).min(i32::from(<$to>::MAX)) as $to;
            }
        }

        #[inline(always)]
        fn $back(p: &$Back, input: &[$to], output: &mut [f32]) {
            for (to, from) in output.iter_mut().zip(input) {
                *to = p.scale * i32::from(*from).wrapping_sub(p.zero_point) as f32;
            }
        }
    )* };
}

quantize! {
    quantize_i8 QuantizeI8 dequantize_i8 DequantizeI8 i8;
    quantize_u8 QuantizeU8 dequantize_u8 DequantizeU8 u8;
    quantize_i16 QuantizeI16 dequantize_i16 DequantizeI16 i16;
}

/// Rounds half away from zero, saturated to ±2^24, far outside of what the kernels keep; NaN is 0.
///
/// `core` has no `f32::round`. The fraction is exact: below 2^23 by construction, above there is none.
#[inline(always)]
fn round(value: f32) -> i32 {
    const LIMIT: f32 = 16_777_216.0;
    let value = clamp_f32(value, -LIMIT, LIMIT);
    let whole = value as i32;
    let fraction = value - whole as f32;
    whole.wrapping_add(i32::from(fraction >= 0.5)).wrapping_sub(i32::from(fraction <= -0.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(value: f32, scale: f32, zero: i32, min: i32, max: i32) -> i32 {
        ((value / scale).round() as i32).saturating_add(zero).clamp(min, max)
    }

    proptest! {
        #[test]
        fn is_the_definition(
            values in proptest::collection::vec(any::<f32>(), 1..30),
            near in proptest::collection::vec(-300.0f32..300.0, 1..30),
            scale in 1e-6f32..10.0,
            zero in -128i32..=255,
        ) {
            // Any float, values near the type's range, and exact halves of the scale.
            let halves = near.iter().map(|v| v.trunc() * scale / 2.0);
            let values: std::vec::Vec<f32> =
                values.iter().copied().chain(near.iter().map(|v| v * scale)).chain(halves).collect();
            let mut narrow = std::vec![0i8; values.len()];
            QuantizeI8 { scale, zero_point: zero }.run(&values, &mut narrow);
            let mut unsigned = std::vec![0u8; values.len()];
            QuantizeU8 { scale, zero_point: zero }.run(&values, &mut unsigned);
            let mut wide = std::vec![0i16; values.len()];
            QuantizeI16 { scale, zero_point: zero }.run(&values, &mut wide);
            for (i, &value) in values.iter().enumerate() {
                prop_assert_eq!(i32::from(narrow[i]), plain(value, scale, zero, -128, 127));
                prop_assert_eq!(i32::from(unsigned[i]), plain(value, scale, zero, 0, 255));
                prop_assert_eq!(i32::from(wide[i]), plain(value, scale, zero, -32768, 32767));
            }
        }

        #[test]
        fn rounds_as_std_does(bits: u32) {
            let value = f32::from_bits(bits);
            let expected = (value.round() as i32).clamp(-16_777_216, 16_777_216);
            prop_assert_eq!(round(value), expected);
        }
    }

    #[test]
    fn odd_values() {
        let mut output = [0i8; 6];
        let input = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.5, -0.5, 0.499_999_97];
        QuantizeI8 { scale: 1.0, zero_point: 3 }.run(&input, &mut output);
        assert_eq!(output, [3, 127, -128, 4, 2, 3]);
        let mut back = [0.0; 2];
        DequantizeU8 { scale: 0.5, zero_point: 1 }.run(&[0, 255], &mut back);
        assert_eq!(back, [-0.5, 127.0]);
    }
}
