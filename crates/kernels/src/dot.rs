//! Sums of products over packed weights: what convolutions and fully connected layers share.
//!
//! **Packing.** Weights are rows of `depth` elements, one row for each output channel. Rows are taken
//! four at a time and interleaved, so that one loaded input meets four neighboring weights; the one to
//! three rows left over follow as they are. The sum over a group of four then needs two pointers.
//!
//! **Tables.** int8 kernels come in two forms that differ in the three words they have for each output
//! channel and in nothing else. Both start with the bias, the input's zero point folded in
//! (`bias - zero_point * sum(weights)`); then the plain form ([`RequantizeI8`]) has `2 * multiplier`
//! (mod 2^32) and `2^(32 - right shift)`, 0 where the multiplier is 0, the other ([`RequantizeAnyI8`]) multiplier and shift as
//! [`crate::fixed::multiply_by_quantized_multiplier`] takes them.

use crate::fixed::{high_mul_round, multiply_by_quantized_multiplier};

/// Output channels computed at once.
pub const GROUP: usize = 4;

/// An element that can be multiplied and summed.
pub trait Lane: Copy {
    /// What sums of products are kept in.
    type Sum: Copy;

    /// Nothing.
    const ZERO: Self;

    /// The element as it is multiplied.
    fn widen(self) -> Self::Sum;

    /// `sum + a * b`, never fused.
    fn accumulate(sum: Self::Sum, a: Self::Sum, b: Self) -> Self::Sum;
}

impl Lane for i8 {
    type Sum = i32;

    const ZERO: Self = 0;

    #[inline(always)]
    fn widen(self) -> i32 {
        i32::from(self)
    }

    #[inline(always)]
    fn accumulate(sum: i32, a: i32, b: i8) -> i32 {
        sum.wrapping_add(a.wrapping_mul(i32::from(b)))
    }
}

impl Lane for f32 {
    type Sum = f32;

    const ZERO: Self = 0.0;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn accumulate(sum: f32, a: f32, b: f32) -> f32 {
        sum + a * b
    }
}

/// How a sum becomes an output.
pub trait Finish<T: Lane> {
    /// The entry of the channel table for one output channel.
    type Words: Copy;

    /// The sum to start from.
    fn start(words: &Self::Words) -> T::Sum;

    /// The output element.
    fn finish(&self, sum: T::Sum, words: &Self::Words) -> T;

    /// Four output elements.
    fn finish_group(&self, sums: [T::Sum; GROUP], words: &[Self::Words; GROUP]) -> [T; GROUP];
}

/// Computes `output.len()` channels from the same inputs, `patch`.
///
/// Not inlined: it is the same for every layer, and on its own it has the registers to itself.
#[inline(never)]
pub fn outputs<T: Lane, F: Finish<T>>(
    patch: &[T],
    weights: &[T],
    words: &[F::Words],
    output: &mut [T],
    finish: &F,
) {
    let four = |(): &mut (), sums, rows: &[T]| add_group(sums, patch, rows);
    let one = |(): &mut (), sum, row: &[T]| add_row(sum, patch, row);
    each_group(patch.len(), weights, words, output, finish, &mut (), four, one);
}

/// Goes through the output channels four at a time, then one by one: `four` and `one` get the sums to
/// start from and the packed weights, and give the sums. Both share `state`.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the operands of a kernel and what is done with them"
)]
pub(crate) fn each_group<T: Lane, F: Finish<T>, S>(
    depth: usize,
    mut weights: &[T],
    mut words: &[F::Words],
    output: &mut [T],
    finish: &F,
    state: &mut S,
    four: impl Fn(&mut S, [T::Sum; GROUP], &[T]) -> [T::Sum; GROUP],
    one: impl Fn(&mut S, T::Sum, &[T]) -> T::Sum,
) {
    let (groups, rest) = output.as_chunks_mut::<GROUP>();
    for out in groups {
        let (Some((rows, later)), Some((table, later_words))) = (
            weights.split_at_checked(depth.wrapping_mul(GROUP)),
            words.split_first_chunk::<GROUP>(),
        ) else {
            return;
        };
        (weights, words) = (later, later_words);
        let [w0, w1, w2, w3] = table;
        let starts = [F::start(w0), F::start(w1), F::start(w2), F::start(w3)];
        let sums = four(state, starts, rows);
        *out = finish.finish_group(sums, table);
    }
    for (out, table) in rest.iter_mut().zip(words) {
        let Some((row, later)) = weights.split_at_checked(depth) else { return };
        weights = later;
        *out = finish.finish(one(state, F::start(table), row), table);
    }
}

/// Adds the products of inputs and four interleaved rows to four sums.
#[inline(always)]
pub(crate) fn add_group<T: Lane>(
    mut sums: [T::Sum; GROUP],
    inputs: &[T],
    rows: &[T],
) -> [T::Sum; GROUP] {
    // Four inputs a turn: as many as the registers of a Cortex-M allow.
    let (fours, rest) = inputs.as_chunks::<4>();
    let (columns, _) = rows.as_chunks::<GROUP>();
    let (blocks, columns) = columns.as_chunks::<4>();
    let mut blocks_left = blocks.iter();
    for [a0, a1, a2, a3] in fours {
        let Some([c0, c1, c2, c3]) = blocks_left.next() else { return sums };
        sums = add_column(sums, a0.widen(), c0);
        sums = add_column(sums, a1.widen(), c1);
        sums = add_column(sums, a2.widen(), c2);
        sums = add_column(sums, a3.widen(), c3);
    }
    for (a, column) in rest.iter().zip(columns) {
        sums = add_column(sums, a.widen(), column);
    }
    sums
}

#[inline(always)]
fn add_column<T: Lane>(sums: [T::Sum; GROUP], a: T::Sum, column: &[T; GROUP]) -> [T::Sum; GROUP] {
    [
        T::accumulate(sums[0], a, column[0]),
        T::accumulate(sums[1], a, column[1]),
        T::accumulate(sums[2], a, column[2]),
        T::accumulate(sums[3], a, column[3]),
    ]
}

/// As [`add_group`], for loops around it that would leave it too few registers.
#[inline(never)]
pub(crate) fn add_segment<T: Lane>(sums: &mut [T::Sum; GROUP], inputs: &[T], rows: &[T]) {
    *sums = add_group(*sums, inputs, rows);
}

/// Adds the products of inputs and one row to a sum.
#[inline(always)]
pub(crate) fn add_row<T: Lane>(mut sum: T::Sum, inputs: &[T], row: &[T]) -> T::Sum {
    for (a, &b) in inputs.iter().zip(row) {
        sum = T::accumulate(sum, a.widen(), b);
    }
    sum
}

/// The end of an int8 sum: zero point and range of the output.
#[derive(Clone, Copy, Debug)]
struct RangeI8 {
    zero_point: i32,
    min: i32,
    max: i32,
    /// Whether the range is narrower than the type's.
    narrow: bool,
}

impl RangeI8 {
    #[inline(always)]
    fn new(zero_point: i32, min: i32, max: i32) -> Self {
        Self { zero_point, min, max, narrow: min > -128 || max < 127 }
    }

    #[inline(always)]
    fn clamp(&self, scaled: i32) -> i8 {
        scaled.wrapping_add(self.zero_point).max(self.min).min(self.max) as i8
    }

    /// The type's range takes one instruction on most cores, and is what most layers have: it is asked
    /// for once for four.
    #[inline(always)]
    fn clamp_group(&self, scaled: [i32; GROUP]) -> [i8; GROUP] {
        let full = |scaled: i32| scaled.wrapping_add(self.zero_point).clamp(-128, 127);
        let [a, b, c, d] = scaled;
        let [a, b, c, d] = [full(a), full(b), full(c), full(d)];
        if self.narrow {
            let narrow = |value: i32| value.max(self.min).min(self.max) as i8;
            [narrow(a), narrow(b), narrow(c), narrow(d)]
        } else {
            [a as i8, b as i8, c as i8, d as i8]
        }
    }
}

/// From an i32 sum to i8 for channels whose multiplier is below one quarter: the module text says what
/// the table holds.
#[derive(Clone, Copy, Debug)]
pub struct RequantizeI8(RangeI8);

impl RequantizeI8 {
    /// To this zero point, between `min` and `max`.
    #[inline(always)]
    pub fn new(zero_point: i32, min: i32, max: i32) -> Self {
        Self(RangeI8::new(zero_point, min, max))
    }

    #[inline(always)]
    fn scaled(sum: i32, words: &[i32; 3]) -> i32 {
        let [_, twice_multiplier, scale] = *words;
        // The doubled multiplier is at least 2^31 and stands there less 2^32, which is one more sum.
        let high = high_mul_round(sum, twice_multiplier).wrapping_add(sum);
        // A negative value goes down by one, so that rounding half up becomes half away from zero.
        high_mul_round(high.wrapping_add(high >> 31), scale)
    }
}

/// From an i32 sum to i8 for any multiplier.
#[derive(Clone, Copy, Debug)]
pub struct RequantizeAnyI8(RangeI8);

impl RequantizeAnyI8 {
    /// To this zero point, between `min` and `max`.
    #[inline(always)]
    pub fn new(zero_point: i32, min: i32, max: i32) -> Self {
        Self(RangeI8::new(zero_point, min, max))
    }

    #[inline(always)]
    fn scaled(sum: i32, words: &[i32; 3]) -> i32 {
        multiply_by_quantized_multiplier(sum, words[1], words[2])
    }
}

macro_rules! finish_i8 {
    ($($Finish:ident),*) => { $(
        impl Finish<i8> for $Finish {
            type Words = [i32; 3];

            #[inline(always)]
            fn start(words: &[i32; 3]) -> i32 {
                words[0]
            }

            #[inline(always)]
            fn finish(&self, sum: i32, words: &[i32; 3]) -> i8 {
                self.0.clamp(Self::scaled(sum, words))
            }

            #[inline(always)]
            fn finish_group(&self, sums: [i32; GROUP], words: &[[i32; 3]; GROUP]) -> [i8; GROUP] {
                self.0.clamp_group([
                    Self::scaled(sums[0], &words[0]),
                    Self::scaled(sums[1], &words[1]),
                    Self::scaled(sums[2], &words[2]),
                    Self::scaled(sums[3], &words[3]),
                ])
            }
        }
    )* };
}
finish_i8!(RequantizeI8, RequantizeAnyI8);

/// From an f32 sum to the output: the bias first, the clamp last; NaN passes.
#[derive(Clone, Copy, Debug)]
pub struct ClampF32 {
    /// Least output.
    pub min: f32,
    /// Greatest output.
    pub max: f32,
}

impl Finish<f32> for ClampF32 {
    type Words = f32;

    #[inline(always)]
    fn start(_bias: &f32) -> f32 {
        0.0
    }

    #[inline(always)]
    fn finish(&self, sum: f32, bias: &f32) -> f32 {
        crate::fixed::clamp_f32(sum + bias, self.min, self.max)
    }

    #[inline(always)]
    fn finish_group(&self, sums: [f32; GROUP], words: &[f32; GROUP]) -> [f32; GROUP] {
        [
            self.finish(sums[0], &words[0]),
            self.finish(sums[1], &words[1]),
            self.finish(sums[2], &words[2]),
            self.finish(sums[3], &words[3]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_tables_say_the_same(
            sum: i32,
            multiplier in (1i32 << 30)..=i32::MAX,
            right in 2u32..=31,
            zero_point in -128i32..128,
            (min, max) in (-128i32..0, 0i32..128),
        ) {
            let plain = RequantizeI8::new(zero_point, min, max);
            let any = RequantizeAnyI8::new(zero_point, min, max);
            let words = [0, multiplier.wrapping_mul(2), 1i32 << (32 - right)];
            let any_words = [0, multiplier, -right.cast_signed()];
            let expected = any.finish(sum, &any_words);
            prop_assert_eq!(plain.finish(sum, &words), expected);
            prop_assert_eq!(plain.finish_group([sum; 4], &[words; 4]), [expected; 4]);
            prop_assert_eq!(any.finish_group([sum; 4], &[any_words; 4]), [expected; 4]);
        }
    }

    #[test]
    fn extremes_say_the_same() {
        for sum in [i32::MIN, i32::MIN + 1, -(1 << 30), -3, -2, -1, 0, 1, 2, 3, 1 << 30, i32::MAX] {
            for multiplier in [1 << 30, (1 << 30) + 1, 3 << 29, i32::MAX - 1, i32::MAX] {
                for right in 2..=31u32 {
                    let words = [0, multiplier.wrapping_mul(2), 1i32 << (32 - right)];
                    let expected =
                        RequantizeAnyI8::scaled(sum, &[0, multiplier, -right.cast_signed()]);
                    assert_eq!(
                        RequantizeI8::scaled(sum, &words),
                        expected,
                        "{sum} {multiplier} {right}"
                    );
                }
            }
        }
        // A multiplier of 0 is a scale of 0.
        assert_eq!(RequantizeI8::scaled(i32::MIN, &[0, i32::MIN, 0]), 0);
        assert_eq!(RequantizeI8::scaled(i32::MAX, &[0, i32::MIN, 0]), 0);
    }
}
