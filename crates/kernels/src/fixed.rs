//! Fixed-point arithmetic of TensorFlow Lite's quantized operators.
//!
//! Source of the formulas: gemmlowp `fixedpoint.h` and TensorFlow Lite `kernels/internal/common.h`,
//! as TensorFlow Lite Micro uses them (two roundings).

/// An i32 accumulator's way to the output scale: `round(round(acc * 2^left * multiplier / 2^31) /
/// 2^right)`, the first rounding half up, the second half away from zero.
///
/// This is TensorFlow Lite's `MultiplyByQuantizedMultiplier` with two roundings (`tflite_double`).
/// `multiplier` is not negative; `shift` is positive for a left shift, negative for a right shift, in
/// -31..=30.
#[inline(always)]
pub fn multiply_by_quantized_multiplier(acc: i32, multiplier: i32, shift: i32) -> i32 {
    let left = if shift > 0 { shift.unsigned_abs() } else { 0 };
    let product = i64::from(acc.wrapping_shl(left)).wrapping_mul(i64::from(multiplier));
    // With a multiplier below 2^31 neither the saturating product nor `i32::MIN` can come up.
    let high = (product.wrapping_add(1 << 30) >> 31) as i32;
    if shift < 0 { half_away(high, shift.unsigned_abs()) } else { high }
}

/// `round(a * b / 2^32)`, half up: one instruction where there is a rounding high multiply.
#[inline(always)]
pub fn high_mul_round(a: i32, b: i32) -> i32 {
    // ARMv6-M, the one Arm architecture here without 32-bit atomics, has no long multiply either: the
    // library's 64-bit product costs it twice as much.
    if cfg!(all(target_arch = "arm", not(target_has_atomic = "32"))) {
        high_mul_round_by_halves(a, b)
    } else {
        (i64::from(a).wrapping_mul(i64::from(b)).wrapping_add(1 << 31) >> 32) as i32
    }
}

/// [`high_mul_round`] by four products of 16 bits: Hacker's Delight, `mulhs`.
#[inline(always)]
fn high_mul_round_by_halves(a: i32, b: i32) -> i32 {
    let ((a_high, a_low), (b_high, b_low)) = ((a >> 16, a & 0xffff), (b >> 16, b & 0xffff));
    let low = a_low.wrapping_mul(b_low).cast_unsigned() >> 16;
    let middle = a_high.wrapping_mul(b_low).wrapping_add(low.cast_signed());
    let other = a_low.wrapping_mul(b_high).wrapping_add(middle & 0xffff);
    let high = a_high.wrapping_mul(b_high).wrapping_add(middle >> 16).wrapping_add(other >> 16);
    // The highest bit below the result, which is what half of it is.
    high.wrapping_add((other >> 15) & 1)
}

/// `round(a * b / 2^31)`, half up, saturated where `a` and `b` are both `i32::MIN`.
///
/// gemmlowp's `SaturatingRoundingDoublingHighMul` adds a nudge that depends on the product's sign and
/// divides towards zero; that is the same as adding 2^30 and shifting, for every product but the one
/// that saturates.
#[inline(always)]
pub fn doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    (i64::from(a).wrapping_mul(i64::from(b)).wrapping_add(1 << 30) >> 31) as i32
}

/// `round(x / 2^exponent)`, half away from zero; `exponent` in 0..=31.
///
/// gemmlowp's `RoundingDivideByPOT`, written without its mask: a negative value is moved down by one
/// so that rounding half up becomes rounding half away from zero.
#[inline(always)]
pub fn rounding_shift_right(x: i32, exponent: u32) -> i32 {
    if exponent == 0 {
        return x;
    }
    if x == i32::MIN { x.wrapping_shr(exponent) } else { half_away(x, exponent) }
}

/// `round(x / 2^exponent)`, half away from zero, for `x` above `i32::MIN` and `exponent` in 1..=31.
#[inline(always)]
fn half_away(x: i32, exponent: u32) -> i32 {
    let moved = x.wrapping_add(x >> 31);
    moved.wrapping_shr(exponent).wrapping_add(moved.wrapping_shr(exponent.wrapping_sub(1)) & 1)
}

/// Adds the zero point, clamps and narrows to i8.
#[inline(always)]
pub fn to_i8(value: i32, zero_point: i32, min: i32, max: i32) -> i8 {
    value.wrapping_add(zero_point).max(min).min(max) as i8
}

/// Clamps as the C++ reference does: a NaN passes, which `f32::clamp` and `f32::max` do not promise.
#[inline(always)]
pub fn clamp_f32(value: f32, min: f32, max: f32) -> f32 {
    let raised = if value < min { min } else { value };
    if max < raised { max } else { raised }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// gemmlowp's text, as it stands there.
    fn gemmlowp_doubling_high_mul(a: i32, b: i32) -> i32 {
        if a == i32::MIN && b == i32::MIN {
            return i32::MAX;
        }
        let product = i64::from(a) * i64::from(b);
        let nudge = if product >= 0 { 1i64 << 30 } else { 1 - (1i64 << 30) };
        i32::try_from((product + nudge) / (1i64 << 31)).unwrap()
    }

    fn gemmlowp_rounding_divide(x: i32, exponent: u32) -> i32 {
        let mask = ((1i64 << exponent) - 1) as i32;
        let remainder = x & mask;
        let threshold = (mask >> 1) + i32::from(x < 0);
        (i64::from(x) >> exponent) as i32 + i32::from(remainder > threshold)
    }

    proptest! {
        #[test]
        fn doubling_high_mul_is_gemmlowps(a: i32, b: i32) {
            prop_assert_eq!(doubling_high_mul(a, b), gemmlowp_doubling_high_mul(a, b));
        }

        #[test]
        fn rounding_shift_right_is_gemmlowps(x: i32, exponent in 0u32..=31) {
            prop_assert_eq!(rounding_shift_right(x, exponent), gemmlowp_rounding_divide(x, exponent));
        }
    }

    proptest! {
        #[test]
        fn products_by_halves_are_the_same(a: i32, b: i32) {
            let wide = (i64::from(a) * i64::from(b) + (1 << 31)) >> 32;
            prop_assert_eq!(i64::from(high_mul_round_by_halves(a, b)), wide);
            prop_assert_eq!(i64::from(high_mul_round(a, b)), wide);
        }

        #[test]
        fn the_whole_way_is_gemmlowps(acc: i32, multiplier in 0..=i32::MAX, shift in -31i32..=30) {
            let (left, right) = (shift.max(0).unsigned_abs(), (-shift).max(0).unsigned_abs());
            let high = gemmlowp_doubling_high_mul(acc.wrapping_shl(left), multiplier);
            let expected = gemmlowp_rounding_divide(high, right);
            prop_assert_eq!(multiply_by_quantized_multiplier(acc, multiplier, shift), expected);
        }
    }

    #[test]
    fn extremes_are_gemmlowps() {
        let values = [i32::MIN, i32::MIN + 1, -(1 << 30), -3, -1, 0, 1, 3, 1 << 30, i32::MAX];
        for a in values {
            for b in values {
                assert_eq!(doubling_high_mul(a, b), gemmlowp_doubling_high_mul(a, b), "{a} {b}");
                let wide = (i64::from(a) * i64::from(b) + (1 << 31)) >> 32;
                assert_eq!(i64::from(high_mul_round_by_halves(a, b)), wide, "{a} {b}");
            }
            for exponent in 0..=31 {
                let expected = gemmlowp_rounding_divide(a, exponent);
                assert_eq!(rounding_shift_right(a, exponent), expected, "{a} >> {exponent}");
            }
        }
    }
}
