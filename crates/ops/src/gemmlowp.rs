//! Exponential, logistic function and hyperbolic tangent in fixed point, as TensorFlow Lite's int8
//! reference computes them. Source of formulas and constants: gemmlowp `fixedpoint.h`.
//!
//! Only host code: operators compute their tables with it, once. A value is named by its integer bits
//! m: `Qm.(31 - m)`, in [-2^m, 2^m).

use crate::op::Refusal;
use crate::quant::{frexp, per_tensor};
use crate::reference::{
    multiply_by_quantized_multiplier, rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul as mul,
};
use kinglet_graph::Tensor;

/// The way of an int8 input to Q4.27, the argument of [`logistic`] and [`tanh`]; inputs that would be
/// ±15 or more are saturated instead.
///
/// Source: `CalculateInputRadius` and the preparation of LOGISTIC and TANH in TensorFlow Lite Micro.
#[derive(Clone, Copy, Debug)]
pub struct Q4 {
    zero_point: i32,
    radius: i32,
    multiplier: i32,
    shift: i32,
}

impl Q4 {
    /// The way of this input.
    pub fn of(input: &Tensor) -> Result<Self, Refusal> {
        let (scale, zero_point) = per_tensor(input, "the input")?;
        let (fraction, shift) = frexp(f64::from(scale) * f64::from(1 << 27));
        // Exact: a fraction of f32 has 24 bits.
        let multiplier = (fraction * f64::from(1u32 << 31)).round() as i32;
        let radius = (15.0 * f64::from(1 << 27) / f64::from(shift).exp2()).floor() as i32;
        Ok(Self { zero_point, radius, multiplier, shift })
    }

    /// Applies a function of Q4.27 to a raw input value.
    pub fn apply(&self, x: i32, function: impl Fn(i32) -> i32) -> i32 {
        let x = x.wrapping_sub(self.zero_point);
        // In this order: with a radius of 0, which a scale of 16 has, the zero point gives the least.
        if x <= -self.radius {
            -128
        } else if x >= self.radius {
            127
        } else if self.shift < -31 {
            // All bits are shifted out.
            function(0)
        } else {
            function(multiply_by_quantized_multiplier(x, self.multiplier, self.shift))
        }
    }
}

/// `x * 2^exponent`, saturated to 32 bits; `exponent` is in 0..=31.
///
/// The reference's bound is one unit tighter than necessary on the negative side: `-2^(31 - exponent)
/// + 1` and below become the least value.
fn shift_left_saturating(x: i32, exponent: u32) -> i32 {
    let threshold = (1i64 << (31 - exponent)) - 1;
    let x = i64::from(x);
    if x > threshold {
        i32::MAX
    } else if x < -threshold {
        i32::MIN
    } else {
        // Inside of the thresholds the product fits.
        (x << exponent) as i32
    }
}

/// `exp(a)` in Q0.31 for a in [-1/4, 0) in Q0.31: a Taylor polynomial of degree 4 around -1/8.
fn exp_near_zero(a: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = a.wrapping_add(1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4 = mul(x2, x2);
    let x4_over_4 = rounding_divide_by_pot(x4, 2);
    let upper_terms =
        rounding_divide_by_pot(mul(x4_over_4.wrapping_add(x3), THIRD).wrapping_add(x2), 1);
    EXP_MINUS_EIGHTH.wrapping_add(mul(EXP_MINUS_EIGHTH, x.wrapping_add(upper_terms)))
}

/// `exp(a)` in Q0.31 for a <= 0 with `integer_bits` integer bits, at most 5.
pub fn exp_on_negative_values(a: i32, integer_bits: u32) -> i32 {
    /// `exp(-2^exponent)` in Q0.31.
    const FACTORS: [(i32, i32); 7] = [
        (-2, 1_672_461_947),
        (-1, 1_302_514_674),
        (0, 790_015_084),
        (1, 290_630_308),
        (2, 39_332_535),
        (3, 720_401),
        (4, 242),
    ];
    if a == 0 {
        return i32::MAX;
    }
    let fractional_bits = 31 - integer_bits;
    let quarter = 1i32 << (fractional_bits - 2);
    // The part below a quarter, as a value in [-1/4, 0); the rest is a sum of the powers of two above.
    let low = (a & (quarter - 1)) - quarter;
    let mut result = exp_near_zero(shift_left_saturating(low, integer_bits));
    let rest = low.wrapping_sub(a);
    for (exponent, factor) in FACTORS {
        if exponent >= integer_bits.cast_signed() {
            break;
        }
        if rest & (1 << (fractional_bits.cast_signed() + exponent)) != 0 {
            result = mul(result, factor);
        }
    }
    result
}

/// Newton's and Raphson's reciprocal of `(1 + a) / 2` for a in [0, 1] in Q0.31: Q2.29.
fn reciprocal_of_half_sum(a: i32) -> i32 {
    const FORTY_EIGHT_OVER_17: i32 = 1_515_870_810;
    const MINUS_32_OVER_17: i32 = -1_010_580_540;
    let sum = i64::from(a) + i64::from(i32::MAX);
    let sign = if sum >= 0 { 1 } else { -1 };
    let half_denominator = ((sum + sign) / 2) as i32;
    let mut x = FORTY_EIGHT_OVER_17.wrapping_add(mul(half_denominator, MINUS_32_OVER_17));
    for _ in 0..3 {
        let error = (1i32 << 29).wrapping_sub(mul(half_denominator, x));
        x = x.wrapping_add(shift_left_saturating(mul(x, error), 2));
    }
    x
}

/// `1 / (1 + a)` in Q0.31 for a in [0, 1] in Q0.31.
pub fn one_over_one_plus(a: i32) -> i32 {
    shift_left_saturating(reciprocal_of_half_sum(a), 1)
}

/// `(1 - a) / (1 + a)` in Q0.31 for a in [0, 1] in Q0.31.
fn one_minus_over_one_plus(a: i32) -> i32 {
    shift_left_saturating(reciprocal_of_half_sum(a).wrapping_sub(1 << 29), 2)
}

/// `1 / (1 + exp(-a))` in Q0.31.
pub fn logistic(a: i32, integer_bits: u32) -> i32 {
    if a == 0 {
        return 1 << 30;
    }
    let magnitude = a.wrapping_abs();
    let positive =
        one_over_one_plus(exp_on_negative_values(magnitude.wrapping_neg(), integer_bits));
    if a > 0 { positive } else { i32::MAX.wrapping_sub(positive) }
}

/// `tanh(a)` in Q0.31; `integer_bits` is at most 4.
pub fn tanh(a: i32, integer_bits: u32) -> i32 {
    if a == 0 {
        return 0;
    }
    // One integer bit more reads the same bits as twice the value.
    let doubled = a.wrapping_abs().wrapping_neg();
    let magnitude = one_minus_over_one_plus(exp_on_negative_values(doubled, integer_bits + 1));
    if a > 0 { magnitude } else { magnitude.wrapping_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: f64 = 2_147_483_648.0;

    #[test]
    fn functions_are_near_the_real_ones() {
        for i in 1..4000 {
            let x = f64::from(i) * 0.004;
            let q4 = (x * f64::from(1 << 27)) as i32;
            let near = |got: i32, want: f64| {
                assert!((f64::from(got) / ONE - want).abs() < 1e-6, "{x}: {got} {want}");
            };
            near(exp_on_negative_values(-q4, 4), (-x).exp());
            near(logistic(q4, 4), 1.0 / (1.0 + (-x).exp()));
            near(logistic(-q4, 4), 1.0 / (1.0 + x.exp()));
            near(tanh(q4, 4), x.tanh());
            near(tanh(-q4, 4), -x.tanh());
        }
    }

    #[test]
    fn the_ends() {
        assert_eq!(exp_on_negative_values(0, 5), i32::MAX);
        assert_eq!(logistic(0, 4), 1 << 30);
        assert_eq!(tanh(0, 4), 0);
        assert_eq!(one_over_one_plus(0), i32::MAX);
        assert!(exp_on_negative_values(i32::MIN, 5) >= 0);
        assert_eq!(shift_left_saturating(1 << 29, 2), i32::MAX);
        assert_eq!(shift_left_saturating(-(1 << 29), 2), i32::MIN);
        assert_eq!(shift_left_saturating(-5, 2), -20);
    }
}
