//! Functions of one f32 value: activations. exp and tanh are `libm`'s plain Rust, the same bits on
//! every machine.

use crate::fixed::clamp_f32 as clamp;

/// A kernel and its in-place form from a function of the parameters and one value.
macro_rules! unary {
    ($(
        $(#[$doc:meta])*
        $name:ident $Params:ident $in_place:ident $InPlace:ident
        { $($(#[$field_doc:meta])* $field:ident : f32),* }
        = $function:expr;
    )*) => { $(
        kernel! {
            $(#[$doc])*
            $name version 1
            params $Params { $($(#[$field_doc])* $field: f32),* }
            operands (input input: f32, output output: f32)
        }

        kernel! {
            #[doc = concat!("[`", stringify!($Params), "`] with the output in place of the input.")]
            $in_place version 1
            params $InPlace { $($(#[$field_doc])* $field: f32),* }
            operands (inout data: f32)
        }

        #[inline(always)]
        fn $name(p: &$Params, input: &[f32], output: &mut [f32]) {
            let function: fn(f32 $(, unary!(@type $field))*) -> f32 = $function;
            let _ = p;
            for (to, from) in output.iter_mut().zip(input) {
                *to = function(*from $(, p.$field)*);
            }
        }

        #[inline(always)]
        fn $in_place(p: &$InPlace, data: &mut [f32]) {
            let function: fn(f32 $(, unary!(@type $field))*) -> f32 = $function;
            let _ = p;
            for value in data {
                *value = function(*value $(, p.$field)*);
            }
        }
    )* };
    (@type $field:ident) => { f32 };
}

unary! {
    /// `clamp(x, min, max)`; NaN passes.
    clamp_f32 ClampF32 clamp_f32_in_place ClampF32InPlace {
        /// Least output.
        min: f32,
        /// Greatest output.
        max: f32
    } = clamp;

    /// `x` above 0, else `x * alpha`.
    leaky_relu_f32 LeakyReluF32 leaky_relu_f32_in_place LeakyReluF32InPlace {
        /// Slope below 0.
        alpha: f32
    } = |x, alpha| if x > 0.0 { x } else { x * alpha };

    /// `x * clamp(x + 3, 0, 6) / 6`.
    hard_swish_f32 HardSwishF32 hard_swish_f32_in_place HardSwishF32InPlace {} = hard_swish;

    /// `-x`; also of NaN, whose sign bit turns.
    neg_f32 NegF32 neg_f32_in_place NegF32InPlace {} = |x| -x;

    /// `1 / (1 + exp(-x))`.
    logistic_f32 LogisticF32 logistic_f32_in_place LogisticF32InPlace {} = logistic;

    /// `tanh(x)`.
    tanh_f32 TanhF32 tanh_f32_in_place TanhF32InPlace {} = libm::tanhf;
}

/// As the reference computes it: a NaN in `x + 3` counts as 0, and NaN comes out all the same.
#[inline(always)]
fn hard_swish(x: f32) -> f32 {
    let raised = if 0.0 < x + 3.0 { x + 3.0 } else { 0.0 };
    let gate = if raised < 6.0 { raised } else { 6.0 };
    x * gate / 6.0
}

/// The reference's cases: exactly 1 above about 16.62, `exp(x)` below -9.
#[inline(always)]
fn logistic(x: f32) -> f32 {
    if x > 16.619_047 {
        1.0
    } else if x < -9.0 {
        libm::expf(x)
    } else {
        1.0 / (1.0 + libm::expf(-x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(got: f32, want: f64) -> bool {
        (f64::from(got) - want).abs() <= 2e-6 * want.abs().max(1e-30)
            || (got.is_nan() && want.is_nan())
            || f64::from(got) == want
    }

    proptest! {
        #[test]
        fn are_their_definitions(x in -40.0f32..40.0, alpha in -2.0f32..2.0) {
            let mut y = [0.0];
            let wide = f64::from(x);
            LogisticF32 {}.run(&[x], &mut y);
            let want = if x < -9.0 { wide.exp() } else { 1.0 / (1.0 + (-wide).exp()) };
            prop_assert!(close(y[0], want), "logistic {} {}", x, y[0]);
            TanhF32 {}.run(&[x], &mut y);
            prop_assert!(close(y[0], wide.tanh()), "tanh {} {}", x, y[0]);
            HardSwishF32 {}.run(&[x], &mut y);
            let want = wide * (wide + 3.0).clamp(0.0, 6.0) / 6.0;
            prop_assert!((f64::from(y[0]) - want).abs() < 1e-5, "hard_swish {} {}", x, y[0]);
            LeakyReluF32 { alpha }.run(&[x], &mut y);
            prop_assert_eq!(y[0], if x > 0.0 { x } else { x * alpha });
            ClampF32 { min: -1.0, max: 1.0 }.run(&[x], &mut y);
            prop_assert_eq!(y[0], x.clamp(-1.0, 1.0));
            NegF32 {}.run(&[x], &mut y);
            prop_assert_eq!(y[0], -x);
        }

        #[test]
        fn in_place_is_the_same(bits: u32) {
            let x = f32::from_bits(bits);
            let mut y = [0.0];
            let mut z = [x];
            LogisticF32 {}.run(&[x], &mut y);
            LogisticF32InPlace {}.run(&mut z);
            prop_assert_eq!(y[0].to_bits(), z[0].to_bits());
            z = [x];
            HardSwishF32 {}.run(&[x], &mut y);
            HardSwishF32InPlace {}.run(&mut z);
            prop_assert_eq!(y[0].to_bits(), z[0].to_bits());
        }
    }

    #[test]
    fn odd_values() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
        let mut y = odd;
        LogisticF32InPlace {}.run(&mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [1.0, 0.0, 0.5]);
        y = odd;
        TanhF32InPlace {}.run(&mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1..3], [1.0, -1.0]);
        y = odd;
        ClampF32InPlace { min: 0.0, max: f32::INFINITY }.run(&mut y);
        assert!(y[0].is_nan());
        assert_eq!(y[1..3], [f32::INFINITY, 0.0]);
        assert!(y[3].is_sign_negative(), "minus zero is not below zero");
        y = odd;
        HardSwishF32InPlace {}.run(&mut y);
        assert!(y[0].is_nan() && y[2].is_nan());
        assert_eq!(y[1], f32::INFINITY);
    }
}
