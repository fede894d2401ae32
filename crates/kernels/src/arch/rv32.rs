//! RV32IM: three output places at once, whose inputs share two words.
//!
//! A sum of products takes about 20 bits, and so three of them have room in two words: one product with the
//! weight goes into each word for all three places (`join`), and the sums are told apart at the end
//! (`separate`). Eight output channels have their sums in registers meanwhile. One place alone is computed
//! with a product for each sum, eight or four channels at once.

#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
use super::taps::Taps;
use core::marker::PhantomData;

/// Runs of inputs of the places that are computed together.
pub const RUNS: usize = 9;

/// Output channels computed at once.
pub const CHANNELS: usize = 8;

/// Output channels computed at once where fewer than [`CHANNELS`] are left.
pub const FEWER: usize = 4;

/// Places computed at once.
pub const PLACES: usize = 3;

/// What the sum of the weights of a channel, without their signs, may reach so that three sums have room in two
/// words: over all inputs, or over as many neighboring ones as [`Layer::longest`] says.
pub const MOST: u32 = (1 << 20) / 128 - 1;

/// Greatest right shift.
pub const MOST_SHIFT: i32 = 21;

/// Inputs of three places: slices of one length whose layout is known. Instructions take their addresses from it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Run {
    first: [*const i8; PLACES],
    len: usize,
}

/// Up to `N` slices for each of three places, whose elements, one slice after the other, are its inputs.
pub struct Runs<'a, const N: usize> {
    runs: [Run; N],
    count: usize,
    depth: usize,
    /// How many elements are behind each run.
    slack: usize,
    slices: PhantomData<&'a [i8]>,
}

impl<'a, const N: usize> Runs<'a, N> {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        let runs = [Run { first: [core::ptr::null(); PLACES], len: 0 }; N];
        Self { runs, count: 0, depth: 0, slack: usize::MAX, slices: PhantomData }
    }

    /// Forgets them all.
    #[inline(always)]
    pub fn clear(&mut self) {
        (self.count, self.depth, self.slack) = (0, 0, usize::MAX);
    }

    /// Adds the first `len` elements of each slice; nothing happens when they are not there, are none, or there
    /// is no place left.
    #[inline(always)]
    pub fn push(&mut self, values: [&'a [i8]; PLACES], len: usize) {
        let Some(run) = self.runs.get_mut(self.count) else { return };
        let [a, b, c] = values;
        let shortest = a.len().min(b.len()).min(c.len());
        let Some(slack) = shortest.checked_sub(len) else { return };
        if len == 0 {
            return;
        }
        *run = Run { first: [a.as_ptr(), b.as_ptr(), c.as_ptr()], len };
        self.count = self.count.wrapping_add(1);
        self.depth = self.depth.wrapping_add(len);
        self.slack = self.slack.min(slack);
    }

    /// The runs, for each line of inputs; `None` when there are none, or not enough elements behind one of them.
    #[inline(always)]
    fn lines(&self, lines: Lines) -> Option<Moved<'_>> {
        let runs = self.runs.get(..self.count).unwrap_or(&[]);
        let most = lines.step.checked_mul(lines.count.checked_sub(1)?)?;
        let usable = !runs.is_empty() && most <= self.slack;
        let depth = self.depth.checked_mul(lines.count)?;
        usable.then_some(Moved { runs, depth, lines })
    }
}

/// How often the runs are gone through, and how far they are moved on each time: lines of a window that look
/// the same need their runs once.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// At least 1.
    pub count: usize,
    /// Elements.
    pub step: usize,
}

impl Lines {
    /// Just the runs.
    pub const ONE: Self = Self { count: 1, step: 0 };
}

impl<const N: usize> Default for Runs<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs that are there, none empty, each with as many elements behind it as it is moved on by: only
/// [`Runs::lines`] makes it.
#[derive(Clone, Copy)]
struct Moved<'a> {
    runs: &'a [Run],
    depth: usize,
    lines: Lines,
}

/// How sums become outputs.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Finish {
    /// One and twice the output's zero point.
    odd: i32,
    /// Least output, at most the zero point.
    min: i32,
    /// Greatest output, at least the zero point.
    max: i32,
}

impl Finish {
    /// The output's zero point and range, which holds it.
    #[inline(always)]
    pub fn new(zero_point: i32, min: i32, max: i32) -> Self {
        Self { odd: zero_point.wrapping_mul(2).wrapping_add(1), min, max }
    }
}

/// Channels that weights and table of so many channels have.
#[inline(always)]
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(FEWER)
}

/// What is the same for all places of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// Those of eight channels side by side for each input, for as many channels as there are, then those of four
    /// likewise for what is left.
    pub weights: &'a [i8],
    /// Bias, multiplier and right shift, 1 to [`MOST_SHIFT`], of each channel, as
    /// `multiply_by_quantized_multiplier` takes them, shift negated; sums with their bias stay below 2^29.
    pub table: &'a [[i32; 3]],
    /// Output channels. Weights and table are of [`padded`] channels.
    pub channels: usize,
    /// How many neighboring inputs [`MOST`] holds for: 0 when it holds for all.
    pub longest: usize,
    /// How sums become outputs.
    pub finish: Finish,
}

/// Computes all channels of one, two or three neighboring places: `output` has the places one after the other. With fewer than three places the runs of those that are missing are those of the
/// last.
///
/// Nothing is written when inputs, weights or table are not there.
#[inline(always)]
pub fn outputs<const N: usize>(
    layer: &Layer<'_>,
    runs: &Runs<'_, N>,
    lines: Lines,
    output: &mut [i8],
) {
    if let Some(runs) = runs.lines(lines) {
        outputs_of(layer, runs, output, false);
    }
}

/// As [`outputs`], for one place, where more of them do not come up.
#[inline(always)]
pub fn row(layer: &Layer<'_>, inputs: &[i8], output: &mut [i8]) {
    let mut runs = Runs::<1>::new();
    runs.push([inputs; PLACES], inputs.len());
    if let Some(runs) = runs.lines(Lines::ONE) {
        outputs_of(layer, runs, output, true);
    }
}

/// Inlined, so that what computes several places is not linked where there is `one`.
#[inline(always)]
fn outputs_of(layer: &Layer<'_>, runs: Moved<'_>, output: &mut [i8], one: bool) {
    let all = padded(layer.channels);
    let needed = runs.depth.checked_mul(all);
    let enough = needed.is_some_and(|needed| needed <= layer.weights.len());
    if !enough || layer.table.len() < all || layer.channels == 0 {
        return;
    }
    #[cfg(all(target_arch = "riscv32", feature = "rv32"))]
    instructions::outputs(layer, runs, output, one);
    #[cfg(not(all(target_arch = "riscv32", feature = "rv32")))]
    twin::outputs(layer, runs, output, one);
}

/// Computes four output channels of a depthwise convolution for each element of `output`: the products of
/// the taps from element `at` on and of `weights`, which hold four channels for each tap, group by group; then
/// as [`outputs`] with this table. Its portable form is the loop of `depthwise_conv2d`. What has no inputs, no
/// weights or no table is left as it is.
#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
#[inline(always)]
pub fn depthwise(
    taps: &Taps<'_, i8>,
    at: usize,
    weights: &[i8],
    table: &[[[i32; 3]; FEWER]],
    output: &mut [[i8; FEWER]],
    zero_point: i32,
) {
    let finish = Finish::new(zero_point, -128, 127);
    ones::depthwise(taps, at, weights, table, output, &finish);
}

/// Writes what there is place for.
#[inline(always)]
fn write(output: &mut [i8], values: &[i8]) {
    for (to, &from) in output.iter_mut().zip(values) {
        *to = from;
    }
}

#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
pub mod copy;
#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
mod ones;
#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
pub mod sixes;
pub mod sliding;

#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
mod instructions;

/// The same in portable code: what the instructions must give.
#[cfg(not(all(target_arch = "riscv32", feature = "rv32")))]
mod twin {
    use super::{CHANNELS, FEWER, Finish, Layer, Moved, PLACES, write};
    use crate::chunks::Chunks;

    /// Three inputs, or the sums of three places, in two words.
    #[inline(always)]
    pub(super) fn join([a, b, c]: [i32; PLACES]) -> [i32; 2] {
        [a.wrapping_add(b << 21), c.wrapping_add(b << 11)]
    }

    /// The sums of three places, each between -2^20 and 2^20: of the middle one the lower eleven bits are in
    /// one word and the others in the other.
    #[inline(always)]
    pub(super) fn separate([first, second]: [i32; 2]) -> [i32; PLACES] {
        let a = first << 11 >> 11;
        let low = first.wrapping_sub(a).cast_unsigned();
        let second = second.wrapping_sub((low >> 10).cast_signed());
        let c = second << 10 >> 10;
        let high = second.wrapping_sub(c) >> 11;
        [a, high.wrapping_add((low >> 21).cast_signed()), c]
    }

    /// A sum as an output.
    ///
    /// Both roundings at once: the first adds a half before its shift by 31, the second before its own, and one
    /// unit of the first less for negative values; a shift of a shift is a shift, so that all of it can be added
    /// to the product, or to its upper part as all of it are multiples of 2^30.
    #[inline(always)]
    pub(super) fn finished(sum: i32, [bias, multiplier, right]: [i32; 3], finish: &Finish) -> i8 {
        let sum = sum.wrapping_add(bias) << 2;
        let high = (i64::from(sum).wrapping_mul(i64::from(multiplier)) >> 32) as i32;
        let right = right.cast_unsigned();
        let half = finish.odd.wrapping_shl(right).wrapping_add(1);
        let value = if high < 0 {
            high.wrapping_add(half.wrapping_sub(2))
                .wrapping_shr(right.wrapping_add(1))
                .max(finish.min)
        } else {
            high.wrapping_add(half).wrapping_shr(right.wrapping_add(1)).min(finish.max)
        };
        value as i8
    }

    /// See [`super::outputs`].
    pub(super) fn outputs(layer: &Layer<'_>, runs: Moved<'_>, output: &mut [i8], one: bool) {
        let places = output.len().checked_div(layer.channels).unwrap_or(0).min(PLACES);
        let places = if one { 1 } else { places };
        let (mut weights, mut table) = (layer.weights, layer.table);
        let (mut a, later) = output.split_at_mut_checked(layer.channels).unwrap_or_default();
        let (mut b, mut c) = later.split_at_mut_checked(layer.channels).unwrap_or_default();
        while !a.is_empty() {
            let count = a.len();
            let values = if count < CHANNELS {
                let [one, two, three] =
                    group::<FEWER>(layer, runs, &mut weights, &mut table, places);
                [widened(one), widened(two), widened(three)]
            } else {
                group::<CHANNELS>(layer, runs, &mut weights, &mut table, places)
            };
            let done = count.min(if count < CHANNELS { FEWER } else { CHANNELS });
            for (out, values) in [&mut a, &mut b, &mut c].into_iter().zip(&values) {
                let (now, later) =
                    core::mem::take(out).split_at_mut_checked(done).unwrap_or_default();
                write(now, values);
                *out = later;
            }
        }
    }

    fn widened(values: [i8; FEWER]) -> [i8; CHANNELS] {
        let mut wide = [0; CHANNELS];
        write(&mut wide, &values);
        wide
    }

    /// The next `N` channels, whose weights and table are cut off.
    fn group<const N: usize>(
        layer: &Layer<'_>,
        runs: Moved<'_>,
        weights: &mut &[i8],
        table: &mut &[[i32; 3]],
        places: usize,
    ) -> [[i8; N]; PLACES] {
        let (columns, later) =
            weights.split_at_checked(runs.depth.wrapping_mul(N)).unwrap_or_default();
        let (words, later_words) = table.split_at_checked(N).unwrap_or_default();
        (*weights, *table) = (later, later_words);
        let mut sums = [[0i32; PLACES]; N];
        let mut joined = [[0i32; 2]; N];
        let mut columns = columns.whole_chunks(N);
        for [a, b, c] in runs.slices() {
            let mut since = 0usize;
            for (((&a, &b), &c), column) in a.iter().zip(b).zip(c).zip(&mut columns) {
                let inputs = [a, b, c].map(i32::from);
                let words = join(inputs);
                for ((joined, sums), &weight) in joined.iter_mut().zip(&mut sums).zip(column) {
                    let weight = i32::from(weight);
                    if places == 1 {
                        sums[0] = sums[0].wrapping_add(weight.wrapping_mul(inputs[0]));
                    } else {
                        for (sum, word) in joined.iter_mut().zip(words) {
                            *sum = sum.wrapping_add(weight.wrapping_mul(word));
                        }
                    }
                }
                since = since.wrapping_add(1);
                if since == layer.longest {
                    carry(&mut joined, &mut sums);
                    since = 0;
                }
            }
            if layer.longest > 0 {
                carry(&mut joined, &mut sums);
            }
        }
        carry(&mut joined, &mut sums);
        let mut values = [[0; N]; PLACES];
        for (channel, (sums, &words)) in sums.iter().zip(words).enumerate() {
            for (values, &sum) in values.iter_mut().zip(sums) {
                if let Some(value) = values.get_mut(channel) {
                    *value = finished(sum, words, &layer.finish);
                }
            }
        }
        values
    }

    /// Moves sums out of the words.
    fn carry(joined: &mut [[i32; 2]], sums: &mut [[i32; PLACES]]) {
        for (words, sums) in joined.iter_mut().zip(sums) {
            for (sum, add) in sums.iter_mut().zip(separate(*words)) {
                *sum = sum.wrapping_add(add);
            }
            *words = [0; 2];
        }
    }
}

#[cfg(not(all(target_arch = "riscv32", feature = "rv32")))]
impl<'a> Moved<'a> {
    /// The inputs of each run, line by line.
    fn slices(self) -> impl Iterator<Item = [&'a [i8]; PLACES]> {
        (0..self.lines.count).flat_map(move |line| {
            let at = self.lines.step.wrapping_mul(line);
            self.runs.iter().map(move |run| {
                run.first.map(|first| {
                    // SAFETY: each run was made from slices that outlive the borrow and have as many elements
                    // behind the `len` of the run as the last line is moved on by.
                    unsafe { core::slice::from_raw_parts(first.wrapping_add(at), run.len) }
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::twin::{finished, join, separate};
    use super::{Finish, MOST};
    use crate::testing::requantize;
    use proptest::prelude::*;

    #[test]
    fn the_greatest_sums_come_apart() {
        let most = MOST.cast_signed() * 128;
        let ends =
            [-most - 128, -most, -2049, -2048, -1024, -1, 0, 1, 1023, 1024, 2047, 2048, most];
        for a in ends {
            for b in ends {
                for c in ends {
                    // Sums are joined as inputs are: both are linear.
                    assert_eq!(separate(join([a, b, c])), [a, b, c]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn both_roundings_at_once(
            sum in -(1i32 << 28)..1 << 28,
            bias in -(1i32 << 28) + 1..1 << 28,
            multiplier in (1i32 << 30)..=i32::MAX,
            right in 1i32..=21,
            zero_point in -128i32..128,
            (below, above) in (0i32..256, 0i32..256),
        ) {
            let (min, max) = ((zero_point - below).max(-128), (zero_point + above).min(127));
            let finish = Finish::new(zero_point, min, max);
            let expected = requantize(sum, &[bias, multiplier, -right], zero_point, min, max);
            prop_assert_eq!(finished(sum, [bias, multiplier, right], &finish), expected);
            // Near a tie, of the first rounding and of the second.
            let near = i64::from(sum >> 20) << (30 + right);
            let near = (near / i64::from(multiplier)).clamp(-(1 << 28), 1 << 28) as i32;
            for sum in near - 1..=near + 1 {
                let expected = requantize(sum, &[0, multiplier, -right], zero_point, min, max);
                prop_assert_eq!(finished(sum, [0, multiplier, right], &finish), expected);
            }
        }
    }

    #[test]
    fn ties_go_away_from_zero() {
        for right in 1..=21 {
            for half in [-5i32, -3, -1, 1, 3, 5] {
                // Half of `half` times 2^31 divided by the multiplier.
                let sum = half << right >> 1 << 1;
                let words = [0, 1 << 30, right];
                let expected = requantize(sum, &[0, 1 << 30, -right], 3, -128, 127);
                assert_eq!(finished(sum, words, &Finish::new(3, -128, 127)), expected);
            }
        }
    }
}
