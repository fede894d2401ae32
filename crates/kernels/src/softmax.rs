//! Softmax over the last axis: TFLite SOFTMAX.

use crate::chunks::Chunks;
use crate::fixed::doubling_high_mul;

kernel! {
    /// int8 softmax; the output has the scale 1/256 and the zero point -128.
    ///
    /// `exponentials` holds `exp(-d * input scale * beta)` in Q0.31 for the differences `d = 0, 1, ..`
    /// to the row's maximum, and ends where the rest counts for nothing.
    softmax_i8 version 1
    params SoftmaxI8 {
        /// Elements of one row.
        depth: u32,
    }
    operands (input input: i8, constant exponentials: i32, output output: i8)
}

kernel! {
    /// [`SoftmaxI8`] with the output in place of the input.
    softmax_i8_in_place version 1
    params SoftmaxI8InPlace {
        /// Elements of one row.
        depth: u32,
    }
    operands (inout data: i8, constant exponentials: i32)
}

kernel! {
    /// [`SoftmaxI8`] with int16 outputs of the scale 1/65536 and the zero point -32768.
    softmax_i8_i16 version 1
    params SoftmaxI8I16 {
        /// Elements of one row.
        depth: u32,
    }
    operands (input input: i8, constant exponentials: i32, output output: i16)
}

kernel! {
    /// f32 softmax: `exp((x - max) * beta)` over its sum.
    softmax_f32 version 1
    params SoftmaxF32 {
        /// Elements of one row.
        depth: u32,
        /// Factor of the exponent.
        beta: f32,
    }
    operands (input input: f32, output output: f32)
}

kernel! {
    /// [`SoftmaxF32`] with the output in place of the input.
    softmax_f32_in_place version 1
    params SoftmaxF32InPlace {
        /// Elements of one row.
        depth: u32,
        /// Factor of the exponent.
        beta: f32,
    }
    operands (inout data: f32)
}

/// The sum's integer bits: 12, so that 4096 ones fit.
const SUM_BITS: u32 = 12;

#[inline(always)]
fn softmax_i8(p: &SoftmaxI8, input: &[i8], exponentials: &[i32], output: &mut [i8]) {
    let depth = (p.depth as usize).max(1);
    for (row, out) in input.whole_chunks(depth).zip(output.whole_chunks_mut(depth)) {
        let norm = Norm::of(row, exponentials);
        for (to, from) in out.iter_mut().zip(row) {
            *to = norm.share::<8>(*from, exponentials).wrapping_sub(128).min(127) as i8;
        }
    }
}

#[inline(always)]
fn softmax_i8_in_place(p: &SoftmaxI8InPlace, data: &mut [i8], exponentials: &[i32]) {
    for row in data.whole_chunks_mut((p.depth as usize).max(1)) {
        let norm = Norm::of(row, exponentials);
        for value in row {
            *value = norm.share::<8>(*value, exponentials).wrapping_sub(128).min(127) as i8;
        }
    }
}

#[inline(always)]
fn softmax_i8_i16(p: &SoftmaxI8I16, input: &[i8], exponentials: &[i32], output: &mut [i16]) {
    let depth = (p.depth as usize).max(1);
    for (row, out) in input.whole_chunks(depth).zip(output.whole_chunks_mut(depth)) {
        let norm = Norm::of(row, exponentials);
        for (to, from) in out.iter_mut().zip(row) {
            *to = norm.share::<16>(*from, exponentials).wrapping_sub(32768).min(32767) as i16;
        }
    }
}

/// What the values of one row are measured against.
struct Norm {
    max: i32,
    /// The reciprocal of the sum, scaled to [1/2, 1] in Q0.31.
    reciprocal: i32,
    /// Leading zeros of the sum in Q12.19.
    headroom: u32,
}

impl Norm {
    #[inline(always)]
    fn of(row: &[i8], exponentials: &[i32]) -> Self {
        let max = i32::from(row.iter().copied().fold(i8::MIN, i8::max));
        let mut sum = 0u32;
        for value in row {
            let exponential = exponential(max, *value, exponentials) as u32;
            // Q0.31 to Q12.19, half up.
            sum = sum.wrapping_add(exponential.wrapping_add(1 << (SUM_BITS - 1)) >> SUM_BITS);
        }
        let headroom = sum.leading_zeros();
        Self { max, reciprocal: reciprocal(sum.wrapping_shl(headroom)), headroom }
    }

    /// The share of one value in units of `1 / 2^BITS`, half up.
    #[inline(always)]
    fn share<const BITS: u32>(&self, value: i8, exponentials: &[i32]) -> i32 {
        let exponential = exponential(self.max, value, exponentials);
        let product = doubling_high_mul(self.reciprocal, exponential) as u32;
        let shift = (SUM_BITS + 31 - BITS).wrapping_sub(self.headroom);
        // A sum so large that every share is less than half a unit.
        if shift > 31 {
            return 0;
        }
        (product.wrapping_add(1u32.wrapping_shl(shift.wrapping_sub(1))).wrapping_shr(shift)) as i32
    }
}

/// `exp` of the value's difference to the maximum, 0 beyond the table.
#[inline(always)]
fn exponential(max: i32, value: i8, exponentials: &[i32]) -> i32 {
    let difference = max.wrapping_sub(i32::from(value)) as usize;
    exponentials.get(difference).copied().unwrap_or(0)
}

/// `1 / (1 + x)` in Q0.31 for x in [0, 1), given as `(1 + x) * 2^31`: three steps of Newton and
/// Raphson in Q2.29 from `48/17 - 32/17 * d`, `d = (1 + x) / 2`. Source: gemmlowp `fixedpoint.h`.
///
/// The reference saturates after each step; only the last can need it, by property test.
#[inline(always)]
fn reciprocal(one_plus_x: u32) -> i32 {
    let half_denominator = (one_plus_x >> 1) as i32;
    let mut x = 1_515_870_810i32.wrapping_add(doubling_high_mul(half_denominator, -1_010_580_540));
    for _ in 0..3 {
        let error = (1i32 << 29).wrapping_sub(doubling_high_mul(half_denominator, x));
        x = x.wrapping_add(doubling_high_mul(x, error).wrapping_shl(2));
    }
    if x >= 1 << 30 { i32::MAX } else { x.wrapping_shl(1) }
}

#[inline(always)]
fn softmax_f32(p: &SoftmaxF32, input: &[f32], output: &mut [f32]) {
    for (to, from) in output.iter_mut().zip(input) {
        *to = *from;
    }
    softmax_f32_in_place(&SoftmaxF32InPlace { depth: p.depth, beta: p.beta }, output);
}

#[inline(always)]
fn softmax_f32_in_place(p: &SoftmaxF32InPlace, data: &mut [f32]) {
    for row in data.whole_chunks_mut((p.depth as usize).max(1)) {
        // Not `f32::max`: a NaN is passed over as `std::max(max, x)` does.
        let max = row.iter().fold(f32::MIN, |max, &x| if max < x { x } else { max });
        let mut sum = 0.0;
        for value in row.iter_mut() {
            *value = libm::expf((*value - max) * p.beta);
            sum += *value;
        }
        for value in row {
            *value /= sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// gemmlowp's `one_over_one_plus_x_for_x_in_0_1` with its saturations, on wide integers.
    fn plain_reciprocal(x: i64) -> i64 {
        let high = |a: i64, b: i64| {
            let product = a * b;
            let nudge = if product >= 0 { 1i64 << 30 } else { 1 - (1i64 << 30) };
            (product + nudge) / (1i64 << 31)
        };
        let saturate = |x: i64| x.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        let half = (x + i64::from(i32::MAX) + 1) / 2;
        let mut y = 1_515_870_810 + high(half, -1_010_580_540);
        for _ in 0..3 {
            y += saturate(high(y, (1 << 29) - high(half, y)) << 2);
        }
        saturate(y << 1)
    }

    fn plain(row: &[i8], table: &[i32], bits: u32) -> Vec<i64> {
        let max = i64::from(*row.iter().max().unwrap());
        let exp = |&v: &i8| {
            let difference = usize::try_from(max - i64::from(v)).unwrap();
            table.get(difference).map_or(0, |&e| i64::from(e))
        };
        let sum: i64 = row.iter().map(|v| (exp(v) + (1 << 11)) >> 12).sum();
        let headroom = (sum as u32).leading_zeros();
        let scale = plain_reciprocal((sum << headroom) - (1i64 << 31));
        let shift = 43 - bits - headroom;
        row.iter()
            .map(|v| {
                let product = (scale * exp(v) + (1 << 30)) >> 31;
                let share = (product + (1i64 << (shift - 1))) >> shift;
                let least = -(1i64 << (bits - 1));
                (share + least).min(-least - 1)
            })
            .collect()
    }

    fn table(scale: f64) -> Vec<i32> {
        let entry =
            |d: i32| ((-f64::from(d) * scale).exp() * 2147483648.0).min(2147483647.0) as i32;
        (0..256).map(entry).filter(|&e| e > 0).collect()
    }

    proptest! {
        #[test]
        fn integers_are_the_definition(
            row in proptest::collection::vec(any::<i8>(), 1..600),
            narrow: bool,
            scale in 1e-3f64..8.0,
        ) {
            // Rows of nearly equal values have the large sums.
            let row: Vec<i8> = row.iter().map(|v| if narrow { v / 64 } else { *v }).collect();
            let table = table(scale);
            let depth = row.len() as u32;
            let mut out = std::vec![0i8; row.len()];
            SoftmaxI8 { depth }.run(&row, &table, &mut out);
            let out_wide: Vec<i64> = out.iter().map(|&v| v.into()).collect();
            prop_assert_eq!(out_wide, plain(&row, &table, 8));
            let mut in_place = row.clone();
            SoftmaxI8InPlace { depth }.run(&mut in_place, &table);
            prop_assert_eq!(in_place, out);
            let mut out = std::vec![0i16; row.len()];
            SoftmaxI8I16 { depth }.run(&row, &table, &mut out);
            let out_wide: Vec<i64> = out.iter().map(|&v| v.into()).collect();
            prop_assert_eq!(out_wide, plain(&row, &table, 16));
        }

        #[test]
        fn the_reciprocal_is_gemmlowps(x in 0i64..1 << 31) {
            let kernel = reciprocal((x + (1i64 << 31)) as u32);
            prop_assert_eq!(i64::from(kernel), plain_reciprocal(x));
        }

        #[test]
        fn floats_sum_to_one(
            row in proptest::collection::vec(-100.0f32..100.0, 1..40),
            beta in 0.1f32..2.0,
        ) {
            let mut out = std::vec![0.0; row.len()];
            SoftmaxF32 { depth: row.len() as u32, beta }.run(&row, &mut out);
            let max = row.iter().copied().fold(f32::MIN, f32::max);
            let exp: Vec<f64> =
                row.iter().map(|&x| (f64::from(x - max) * f64::from(beta)).exp()).collect();
            let sum: f64 = exp.iter().sum();
            for (got, want) in out.iter().zip(&exp) {
                prop_assert!((f64::from(*got) - want / sum).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_ends_of_the_reciprocal() {
        for x in [0, 1, 2, (1i64 << 31) - 2, (1i64 << 31) - 1] {
            assert_eq!(
                i64::from(reciprocal((x + (1i64 << 31)) as u32)),
                plain_reciprocal(x),
                "{x}"
            );
        }
    }

    #[test]
    fn empty_and_odd_operands_do_nothing_wrong() {
        let mut out = [7i8; 3];
        SoftmaxI8 { depth: 0 }.run(&[1, 2, 3], &[], &mut out);
        SoftmaxI8 { depth: 4 }.run(&[1, 2, 3], &[i32::MAX], &mut out);
        let mut row = [f32::NEG_INFINITY; 2];
        SoftmaxF32InPlace { depth: 2, beta: 1.0 }.run(&mut row);
        assert!(row.iter().all(|v| v.is_nan()));
    }
}
