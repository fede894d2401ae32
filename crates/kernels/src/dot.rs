//! Sums of products over packed weights: what convolutions and fully connected layers share.
//!
//! **Packing.** Weights are rows of `depth` elements, one row for each output channel. Rows are taken
//! four at a time and interleaved, so that one loaded input meets four neighboring weights; the one to
//! three rows left over follow as they are. The sum over a group of four then needs two pointers. For
//! cores that multiply two pairs at once, two channels share a word instead ([`crate::arch::dsp`]).
//!
//! **Tables.** int8 kernels come in two forms that differ in the three words they have for each output
//! channel and in nothing else. Both start with the bias, the input's zero point folded in
//! (`bias - zero_point * sum(weights)`); then the plain form ([`RequantizeI8`]) has `2 * multiplier`
//! (mod 2^32) and `2^(32 - right shift)`, 0 where the multiplier is 0, the other ([`RequantizeAnyI8`]) multiplier and shift as
//! [`crate::fixed::multiply_by_quantized_multiplier`] takes them.

use crate::arch::dsp;
use crate::arch::taps::Taps;
use crate::fixed::{high_mul_round, multiply_by_quantized_multiplier};
use core::marker::PhantomData;

/// Output channels computed at once.
pub const GROUP: usize = 4;

/// Inputs of one output place that are gathered before they are used: what first layers with their few
/// channels need, whose windows are many short runs of the input. A whole number of blocks.
const PATCH: usize = 96;

/// As `PATCH`, where sums are so cheap that finding runs anew for each four channels is dear.
pub const PAIRS_PATCH: usize = 160;

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

    /// Whether [`Finish::depthwise`] does all there is to do, and more taps than it takes do not come up.
    const FEW_TAPS: bool = false;

    /// Computes channels of a depthwise convolution, four at a time, from taps, each from element `at` on;
    /// `false` when it is left to the portable loop.
    #[inline(always)]
    fn depthwise(
        &self,
        _taps: &Taps<'_, T>,
        _at: usize,
        _weights: &[T],
        _words: &[Self::Words],
        _output: &mut [[T; GROUP]],
    ) -> bool {
        false
    }
}

/// How the weights of four output channels stand together, what sums products over them, and what ends the
/// sums.
pub(crate) trait Packing<T: Lane> {
    /// What weights are stored in.
    type Weight: Copy;
    /// The sums of four channels on their way.
    type Sums: Copy;
    /// How a sum becomes an output.
    type Finish: Finish<T>;

    /// Where the inputs of one output place are gathered when they fit: an array of elements.
    type Patch: AsMut<[T]>;

    /// Inputs that are taken at once; fewer of them cost more.
    const BLOCK: usize;
    /// Nothing gathered yet: zeros, which whole blocks are filled up with.
    const PATCH: Self::Patch;

    /// Weights of four channels, or of one that is left over, for so many inputs.
    fn group_len(inputs: usize) -> usize;
    /// See [`Packing::group_len`].
    fn row_len(inputs: usize) -> usize;

    /// Sums that start from the biases of these words.
    fn begin(words: &[Words<T, Self>; GROUP]) -> Self::Sums;
    /// Adds the products of inputs and the weights of four channels.
    fn add_group(sums: Self::Sums, inputs: &[T], weights: &[Self::Weight]) -> Self::Sums;
    /// The sums, biases included.
    fn end(sums: Self::Sums, words: &[Words<T, Self>; GROUP]) -> [T::Sum; GROUP];

    /// Adds the products of inputs and the weights of one channel.
    fn add_row(sum: T::Sum, inputs: &[T], weights: &[Self::Weight]) -> T::Sum;

    /// Computes channels, four at a time, from the same inputs; `false` when it is left to [`each_group`].
    #[inline(always)]
    fn outputs(
        _inputs: &[T],
        _weights: &[Self::Weight],
        _words: &[Words<T, Self>],
        _output: &mut [[T; GROUP]],
        _finish: &Self::Finish,
    ) -> bool {
        false
    }
}

/// The channel table's entry for a packing.
pub(crate) type Words<T, P> = <<P as Packing<T>>::Finish as Finish<T>>::Words;

/// Four rows interleaved: the weights of four channels for one input stand side by side.
pub(crate) struct Interleaved<F>(PhantomData<F>);

impl<T: Lane, F: Finish<T>> Packing<T> for Interleaved<F> {
    type Weight = T;
    type Sums = [T::Sum; GROUP];
    type Finish = F;
    type Patch = [T; PATCH];

    const BLOCK: usize = 1;
    const PATCH: [T; PATCH] = [T::ZERO; PATCH];

    #[inline(always)]
    fn group_len(inputs: usize) -> usize {
        inputs.wrapping_mul(GROUP)
    }

    #[inline(always)]
    fn row_len(inputs: usize) -> usize {
        inputs
    }

    #[inline(always)]
    fn begin([a, b, c, d]: &[F::Words; GROUP]) -> Self::Sums {
        [F::start(a), F::start(b), F::start(c), F::start(d)]
    }

    #[inline(always)]
    fn add_group(sums: Self::Sums, inputs: &[T], weights: &[T]) -> Self::Sums {
        add_group(sums, inputs, weights)
    }

    #[inline(always)]
    fn end(sums: Self::Sums, _words: &[F::Words; GROUP]) -> [T::Sum; GROUP] {
        sums
    }

    #[inline(always)]
    fn add_row(sum: T::Sum, inputs: &[T], weights: &[T]) -> T::Sum {
        add_row(sum, inputs, weights)
    }
}

/// Two channels in one number, as [`crate::arch::dsp`] takes them; rows left over are four weights a word.
pub(crate) struct Pairs;

impl Packing<i8> for Pairs {
    type Weight = i32;
    type Sums = dsp::PairSums;
    type Finish = RequantizeI8;
    type Patch = [i8; PAIRS_PATCH];

    const BLOCK: usize = 4;
    const PATCH: [i8; PAIRS_PATCH] = [0; PAIRS_PATCH];

    #[inline(always)]
    fn group_len(inputs: usize) -> usize {
        inputs.div_ceil(Self::BLOCK).wrapping_mul(GROUP)
    }

    #[inline(always)]
    fn row_len(inputs: usize) -> usize {
        inputs.div_ceil(Self::BLOCK)
    }

    #[inline(always)]
    fn begin(_words: &[[i32; 3]; GROUP]) -> dsp::PairSums {
        [0; GROUP]
    }

    #[inline(always)]
    fn add_group(sums: dsp::PairSums, inputs: &[i8], weights: &[i32]) -> dsp::PairSums {
        let (weights, _) = weights.as_chunks();
        let (blocks, rest) = inputs.as_chunks();
        let sums = dsp::add_blocks(sums, blocks, weights);
        // By hand: the compiler makes a loop a call of `memcpy`, which is larger than all that is here.
        let block = match *rest {
            [] => return sums,
            [a] => [a, 0, 0, 0],
            [a, b] => [a, b, 0, 0],
            [a, b, c, ..] => [a, b, c, 0],
        };
        dsp::add_blocks(sums, &[block], weights.get(blocks.len()..).unwrap_or(&[]))
    }

    #[inline(always)]
    fn end(sums: dsp::PairSums, words: &[[i32; 3]; GROUP]) -> [i32; GROUP] {
        let [a, b, c, d] = dsp::separate(sums);
        let [[e, ..], [f, ..], [g, ..], [h, ..]] = *words;
        [a.wrapping_add(e), b.wrapping_add(f), c.wrapping_add(g), d.wrapping_add(h)]
    }

    #[inline(always)]
    fn add_row(mut sum: i32, inputs: &[i8], weights: &[i32]) -> i32 {
        let mut inputs = inputs.iter();
        for word in weights {
            for weight in word.to_le_bytes() {
                let Some(input) = inputs.next() else { return sum };
                sum = i8::accumulate(sum, input.widen(), weight.cast_signed());
            }
        }
        sum
    }

    #[inline(always)]
    fn outputs(
        inputs: &[i8],
        weights: &[i32],
        words: &[[i32; 3]],
        output: &mut [[i8; GROUP]],
        finish: &RequantizeI8,
    ) -> bool {
        let (blocks, rest) = inputs.as_chunks();
        let whole = rest.is_empty();
        if whole {
            let ((weights, _), (words, _)) = (weights.as_chunks(), words.as_chunks());
            dsp::outputs(blocks, weights, words, output, &finish.0.limits());
        }
        whole
    }
}

/// Computes `output.len()` channels from the same inputs, `patch`.
///
/// Not inlined: it is the same for every layer, and on its own it has the registers to itself.
#[inline(never)]
pub(crate) fn outputs<T: Lane, P: Packing<T>>(
    patch: &[T],
    weights: &[P::Weight],
    words: &[Words<T, P>],
    output: &mut [T],
    finish: &P::Finish,
) {
    let (groups, rest) = output.as_chunks_mut::<GROUP>();
    let of_groups = groups.len().wrapping_mul(P::group_len(patch.len()));
    let done = P::outputs(patch, weights, words, groups, finish);
    let one = |(): &mut (), sum, row: &[P::Weight]| P::add_row(sum, patch, row);
    if done {
        let (_, weights) = weights.split_at_checked(of_groups).unwrap_or((&[], &[]));
        let words = words.get(groups.len().wrapping_mul(GROUP)..).unwrap_or(&[]);
        each_row::<T, P, _>(patch.len(), weights, words, rest, finish, &mut (), one);
        return;
    }
    let four = |(): &mut (), sums, rows: &[P::Weight]| P::add_group(sums, patch, rows);
    each_group::<T, P, _>(patch.len(), weights, words, output, finish, &mut (), four, one);
}

/// Goes through the output channels four at a time, then one by one: `four` and `one` get the sums to
/// start from and the packed weights, and give the sums. Both share `state`.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the operands of a kernel and what is done with them"
)]
pub(crate) fn each_group<T: Lane, P: Packing<T>, S>(
    depth: usize,
    mut weights: &[P::Weight],
    mut words: &[Words<T, P>],
    output: &mut [T],
    finish: &P::Finish,
    state: &mut S,
    four: impl Fn(&mut S, P::Sums, &[P::Weight]) -> P::Sums,
    one: impl Fn(&mut S, T::Sum, &[P::Weight]) -> T::Sum,
) {
    let (groups, rest) = output.as_chunks_mut::<GROUP>();
    for out in groups {
        let (Some((rows, later)), Some((table, later_words))) =
            (weights.split_at_checked(P::group_len(depth)), words.split_first_chunk::<GROUP>())
        else {
            return;
        };
        (weights, words) = (later, later_words);
        let sums = P::end(four(state, P::begin(table), rows), table);
        *out = finish.finish_group(sums, table);
    }
    each_row::<T, P, S>(depth, weights, words, rest, finish, state, one);
}

/// The channels that are left over.
#[inline(always)]
pub(crate) fn each_row<T: Lane, P: Packing<T>, S>(
    depth: usize,
    mut weights: &[P::Weight],
    words: &[Words<T, P>],
    output: &mut [T],
    finish: &P::Finish,
    state: &mut S,
    one: impl Fn(&mut S, T::Sum, &[P::Weight]) -> T::Sum,
) {
    for (out, table) in output.iter_mut().zip(words) {
        let Some((row, later)) = weights.split_at_checked(P::row_len(depth)) else { return };
        weights = later;
        *out = finish.finish(one(state, P::Finish::start(table), row), table);
    }
}

/// Adds the products of inputs and four interleaved rows to four sums.
#[inline(always)]
fn add_group<T: Lane>(mut sums: [T::Sum; GROUP], inputs: &[T], rows: &[T]) -> [T::Sum; GROUP] {
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

/// As [`Packing::add_group`], for loops around it that would leave it too few registers.
#[inline(never)]
pub(crate) fn add_segment<T: Lane, P: Packing<T>>(
    sums: &mut P::Sums,
    inputs: &[T],
    weights: &[P::Weight],
) {
    *sums = P::add_group(*sums, inputs, weights);
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

    /// The same as instructions on four bytes take it.
    #[inline(always)]
    fn limits(&self) -> dsp::Limits {
        let above = |value: i32| value.wrapping_add(128).clamp(0, 255).cast_unsigned();
        let (low, high) = (above(self.min), 255u32.wrapping_sub(above(self.max)));
        dsp::Limits::new(self.zero_point, low, high)
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
    ($Finish:ident $($instructions:item)*) => {
        impl Finish<i8> for $Finish {
            $($instructions)*

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
    };
}

finish_i8!(RequantizeAnyI8);
finish_i8! { RequantizeI8
    #[cfg(all(target_arch = "arm", feature = "dsp"))]
    #[inline(always)]
    fn depthwise(
        &self,
        taps: &Taps<'_, i8>,
        at: usize,
        weights: &[i8],
        words: &[[i32; 3]],
        output: &mut [[i8; GROUP]],
    ) -> bool {
        let (table, _) = words.as_chunks();
        dsp::depthwise(taps, at, weights, table, output, &self.0.limits());
        true
    }
}

mod shift;
pub use shift::RequantizeShiftI8;

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
