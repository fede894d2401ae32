//! ARMv6-M (Cortex-M0, M0+): eight output channels at once, whose sums are in registers.
//!
//! Most instructions of that architecture reach eight registers only, and a signed byte cannot be loaded from
//! a constant offset; an unsigned one can, and `add` reaches all registers. So weights are stored with 128
//! added, four sums are in high registers, and 128 times the sum of the inputs, which is the same for all
//! channels, is taken off where the sums start.

#[cfg(all(target_arch = "arm", feature = "v6m"))]
use super::taps::Taps;
use core::marker::PhantomData;

/// Runs of inputs of one output place.
pub const RUNS: usize = 20;

/// Output channels computed at once.
pub const CHANNELS: usize = 8;

/// Output channels computed at once where fewer than [`CHANNELS`] are left.
pub const FEWER: usize = 4;

/// A slice whose layout is known: instructions take its address from it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Run {
    first: *const i8,
    len: usize,
}

/// Up to `N` slices whose elements, one slice after the other, are the inputs of an output place.
pub struct Runs<'a, const N: usize> {
    runs: [Run; N],
    count: usize,
    depth: usize,
    /// How far all runs may be moved on.
    slack: usize,
    slices: PhantomData<&'a [i8]>,
}

impl<'a, const N: usize> Runs<'a, N> {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        let runs = [Run { first: core::ptr::null(), len: 0 }; N];
        Self { runs, count: 0, depth: 0, slack: usize::MAX, slices: PhantomData }
    }

    /// Forgets them all.
    #[inline(always)]
    pub fn clear(&mut self) {
        (self.count, self.depth, self.slack) = (0, 0, usize::MAX);
    }

    /// Adds the first `len` elements; nothing happens when they are not there, are none, or there is no place
    /// left.
    #[inline(always)]
    pub fn push(&mut self, values: &'a [i8], len: usize) {
        let Some(run) = self.runs.get_mut(self.count) else { return };
        let Some(slack) = values.len().checked_sub(len) else { return };
        if len == 0 {
            return;
        }
        *run = Run { first: values.as_ptr(), len };
        self.count = self.count.wrapping_add(1);
        self.depth = self.depth.wrapping_add(len);
        self.slack = self.slack.min(slack);
    }

    /// The runs, moved on by `at`; `None` when there are none, or not so many elements behind one of them.
    #[inline(always)]
    fn moved(&self, at: usize) -> Option<Moved<'_>> {
        let runs = self.runs.get(..self.count).unwrap_or(&[]);
        let usable = !runs.is_empty() && at <= self.slack;
        usable.then_some(Moved { runs, depth: self.depth, at })
    }
}

impl<const N: usize> Default for Runs<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs that are there, none empty, each with `at` elements behind it: only [`Runs::moved`] makes it.
#[derive(Clone, Copy)]
struct Moved<'a> {
    runs: &'a [Run],
    depth: usize,
    at: usize,
}

impl<'a> Moved<'a> {
    #[inline(always)]
    fn slices(self) -> impl Iterator<Item = &'a [i8]> + Clone {
        self.runs.iter().map(move |run| {
            // SAFETY: each run was made from a slice that outlives the borrow and has at least `at` elements
            // behind the `len` of the run.
            unsafe { core::slice::from_raw_parts(run.first.wrapping_add(self.at), run.len) }
        })
    }
}

/// Channels that weights and table of so many channels have.
#[inline(always)]
pub const fn padded(channels: usize) -> usize {
    channels.next_multiple_of(FEWER)
}

/// Computes output channels from the same inputs, all runs moved on by `at`.
///
/// `weights` are those of eight channels side by side for each input, for as many channels as there are, then
/// those of four likewise for what is left, all with 128 added (mod 256). `table` has bias, multiplier and right
/// shift, 1 to 31, of each channel, as `multiply_by_quantized_multiplier` takes them, shift negated; sums with
/// their bias stay below 2^29. Both are of [`padded`] channels.
///
/// Nothing is written when inputs, weights or table are not there.
#[inline(always)]
pub fn outputs<const N: usize>(
    runs: &Runs<'_, N>,
    at: usize,
    weights: &[i8],
    table: &[[i32; 3]],
    output: &mut [i8],
    zero_point: i32,
) {
    if let Some(runs) = runs.moved(at) {
        outputs_of(runs, weights, table, output, zero_point);
    }
}

/// Not inlined: it is the same for every layer.
#[inline(never)]
fn outputs_of(
    runs: Moved<'_>,
    weights: &[i8],
    table: &[[i32; 3]],
    output: &mut [i8],
    zero_point: i32,
) {
    let channels = padded(output.len());
    let needed = runs.depth.checked_mul(channels);
    if needed.is_none_or(|needed| weights.len() < needed) || table.len() < channels {
        return;
    }
    #[cfg(all(target_arch = "arm", feature = "v6m"))]
    instructions::outputs(runs, weights, table, output, zero_point);
    #[cfg(not(all(target_arch = "arm", feature = "v6m")))]
    twin::outputs(runs, weights, table, output, zero_point);
}

/// Writes what there is place for.
#[inline(always)]
fn write(output: &mut [i8], values: &[i8]) {
    for (to, &from) in output.iter_mut().zip(values) {
        *to = from;
    }
}

/// Computes four output channels of a depthwise convolution for each element of `output`: the products of
/// the taps from element `at` on and of `weights`, which hold four channels for each tap, group by group; then
/// as [`outputs`] with this table. Its portable form is the loop of `depthwise_conv2d`. What has no inputs, no
/// weights or no table is left as it is.
#[cfg(all(target_arch = "arm", feature = "v6m"))]
#[inline(always)]
pub fn depthwise(
    taps: &Taps<'_, i8>,
    at: usize,
    weights: &[i8],
    table: &[[[i32; 3]; 4]],
    output: &mut [[i8; 4]],
    zero_point: i32,
) {
    instructions::depthwise(taps, at, weights, table, output, zero_point);
}

/// The same in portable code: what the instructions must give.
#[cfg(not(all(target_arch = "arm", feature = "v6m")))]
mod twin {
    use super::{CHANNELS, FEWER, Moved, write};
    use crate::chunks::Chunks;
    use crate::fixed::multiply_by_quantized_multiplier;

    /// See [`super::outputs`].
    #[inline(always)]
    pub(super) fn outputs(
        runs: Moved<'_>,
        mut weights: &[i8],
        mut table: &[[i32; 3]],
        output: &mut [i8],
        zero_point: i32,
    ) {
        let start =
            runs.slices().flatten().fold(0i32, |sum, &x| sum.wrapping_sub(i32::from(x) << 7));
        let (eights, rest) = output.as_chunks_mut::<CHANNELS>();
        for out in eights {
            *out = group(runs, start, &mut weights, &mut table, zero_point);
        }
        for out in rest.chunks_mut(FEWER) {
            let values: [i8; FEWER] = group(runs, start, &mut weights, &mut table, zero_point);
            write(out, &values);
        }
    }

    /// The next `N` channels, whose weights and table are cut off.
    fn group<const N: usize>(
        runs: Moved<'_>,
        start: i32,
        weights: &mut &[i8],
        table: &mut &[[i32; 3]],
        zero_point: i32,
    ) -> [i8; N] {
        let (columns, later) =
            weights.split_at_checked(runs.depth.wrapping_mul(N)).unwrap_or((&[], &[]));
        let (words, later_words) = table.split_at_checked(N).unwrap_or((&[], &[]));
        (*weights, *table) = (later, later_words);
        let mut sums = [start; N];
        for (&x, column) in runs.slices().flatten().zip(columns.whole_chunks(N)) {
            for (sum, &weight) in sums.iter_mut().zip(column) {
                let product = i32::from(x).wrapping_mul(i32::from(weight.cast_unsigned()));
                *sum = sum.wrapping_add(product);
            }
        }
        let mut values = [0; N];
        for ((value, sum), &[bias, multiplier, right]) in values.iter_mut().zip(sums).zip(words) {
            let sum = sum.wrapping_add(bias);
            let scaled = multiply_by_quantized_multiplier(sum, multiplier, right.wrapping_neg());
            *value = scaled.wrapping_add(zero_point).clamp(-128, 127) as i8;
        }
        values
    }
}

#[cfg(all(target_arch = "arm", feature = "v6m"))]
mod instructions;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, eights, requantize, shifts};
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn weights_with_an_offset_give_the_plain_sum(
            lens in prop::collection::vec(1usize..12, 1..6),
            channels in 0usize..30,
            at in 0usize..5,
            zero_point in -128i32..128,
            seed: u64,
        ) {
            let depth: usize = lens.iter().sum();
            let pieces: Vec<Vec<i8>> = lens.iter().map(|&len| bytes(seed ^ len as u64, len + 4)).collect();
            let mut runs = Runs::<RUNS>::new();
            for (piece, &len) in pieces.iter().zip(&lens) {
                runs.push(piece, len);
            }
            let rows = bytes(!seed, depth * channels);
            let table: Vec<[i32; 3]> = (0..channels)
                .map(|c| [c as i32 * 1000 - 3000, (1 << 30) + c as i32 * 12_345_678, 1 + c as i32 % 31])
                .collect();
            let inputs: Vec<i8> = pieces
                .iter()
                .zip(&lens)
                .flat_map(|(piece, &len)| piece[at..at + len].to_vec())
                .collect();
            let any: Vec<i32> =
                table.iter().flat_map(|&[bias, multiplier, right]| [bias, multiplier, -right]).collect();
            let expected: Vec<i8> = rows
                .chunks_exact(depth)
                .zip(any.chunks_exact(3))
                .map(|(row, words)| {
                    let products = row.iter().zip(&inputs).map(|(&w, &x)| i32::from(w) * i32::from(x));
                    requantize(products.sum(), words, zero_point, -128, 127)
                })
                .collect();
            let words = shifts(&any);
            let packed = eights(&rows, depth);
            let mut output = vec![0; channels];
            outputs(&runs, at, &packed, words.as_chunks().0, &mut output, zero_point);
            prop_assert_eq!(output, expected);
        }
    }
}
