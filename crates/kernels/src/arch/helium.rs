//! Helium, the vector extension of Armv8.1-M (Cortex-M52, M55, M85): sixteen products and their sum in one
//! instruction.
//!
//! Weights are plain rows, one for each output channel: loops that end within a vector leave the rest of it out,
//! so that neither rows nor inputs need filling up. Sums of four channels are requantized together.

#[cfg(all(target_arch = "arm", feature = "helium"))]
pub mod add;
pub mod depthwise;

use super::runs::{Moved, Runs};
use crate::chunks::Chunks;
use core::marker::PhantomData;

/// Output channels that are requantized together.
pub const CHANNELS: usize = 4;

/// Bias, multiplier and shift of four channels: biases in the order 0, 2, 1, 3, right shifts as negative numbers.
pub type Group = [[i32; CHANNELS]; 3];

/// Inputs of a vector.
pub const LANES: usize = 16;

/// How many groups the table of so many channels has. Four channels a group; where that does not come out even,
/// the last group has the last four, some of which the one before has too. Fewer than four channels have a group
/// each, which says four times the same.
#[inline(always)]
pub const fn groups(channels: usize) -> usize {
    if channels < CHANNELS { channels } else { channels.div_ceil(CHANNELS) }
}

/// Runs of three places at once.
#[derive(Clone, Copy)]
#[repr(C)]
struct Run3 {
    first: [*const i8; 3],
    len: usize,
}

/// Runs of inputs of three output places, less than `N` of them: what [`Runs`] is for one.
pub struct Runs3<'a, const N: usize> {
    /// Behind the last one there is one that is empty.
    runs: [Run3; N],
    count: usize,
    depth: usize,
    /// Whether a run does not end with a whole vector.
    ragged: bool,
    slices: PhantomData<&'a [i8]>,
}

impl<'a, const N: usize> Runs3<'a, N> {
    /// None.
    #[inline(always)]
    pub fn new() -> Self {
        let runs = [Run3 { first: [core::ptr::null(); 3], len: 0 }; N];
        Self { runs, count: 0, depth: 0, ragged: false, slices: PhantomData }
    }

    /// Forgets them all.
    #[inline(always)]
    pub fn clear(&mut self) {
        (self.count, self.depth, self.ragged) = (0, 0, false);
    }

    /// Adds a run of `len` elements of each place, those of a place `step` elements behind those of the one
    /// before; nothing happens when they are not there, are none, or there is no place left.
    #[inline(always)]
    pub fn push(&mut self, values: &'a [i8], step: usize, len: usize) {
        let next = self.count.wrapping_add(1);
        let last = step.checked_mul(2).and_then(|two| two.checked_add(len));
        if let Some([run, end]) = self.runs.get_mut(self.count..).and_then(<[_]>::first_chunk_mut)
            && last.is_some_and(|last| last <= values.len())
            && len > 0
        {
            let first = values.as_ptr();
            let second = first.wrapping_add(step);
            *run = Run3 { first: [first, second, second.wrapping_add(step)], len };
            end.len = 0;
            self.count = next;
            self.depth = self.depth.wrapping_add(len);
            self.ragged |= !len.is_multiple_of(LANES);
        }
    }

    /// The runs with the empty one behind them; `None` when there are none, or several that are ragged.
    #[inline(always)]
    fn whole(&self) -> Option<Whole<'_>> {
        let usable = self.count == 1 || (self.count > 1 && !self.ragged);
        let runs = self.runs.get(..=self.count)?;
        usable.then_some(Whole { runs, depth: self.depth })
    }
}

impl<const N: usize> Default for Runs3<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs that are there, with an empty one behind them: one run, or several of whole vectors. Only
/// [`Runs3::whole`] makes it.
#[derive(Clone, Copy)]
struct Whole<'a> {
    runs: &'a [Run3],
    depth: usize,
}

/// Whether weights and table are there for so many channels.
#[inline(always)]
fn complete(channels: usize, depth: usize, weights: &[i8], table: &[Group]) -> bool {
    let needed = depth.checked_mul(channels);
    needed.is_some_and(|needed| needed <= weights.len()) && groups(channels) <= table.len()
}

/// Computes output channels from the same inputs.
///
/// `weights` are rows of as many elements as the runs have together, one row for each channel. `table` has what
/// [`groups`] says; right shifts are 1 to 31, otherwise as `multiply_by_quantized_multiplier` takes them.
///
/// Nothing is written when inputs, weights or table are not there.
#[inline(always)]
pub fn outputs<const N: usize>(
    runs: &Runs<'_, N>,
    weights: &[i8],
    table: &[Group],
    output: &mut [i8],
    zero_point: i32,
) {
    if let Some(runs) = runs.moved(0)
        && complete(output.len(), runs.depth, weights, table)
    {
        one_place(runs, weights, table, output, zero_point);
    }
}

/// As [`outputs`], where weights and table are there. Not inlined: it is the same for every layer.
#[inline(never)]
fn one_place(runs: Moved<'_>, weights: &[i8], table: &[Group], output: &mut [i8], zero_point: i32) {
    let channels = output.len();
    if channels < CHANNELS {
        for ((out, row), group) in
            output.iter_mut().zip(weights.whole_chunks(runs.depth)).zip(table)
        {
            let [value, ..] = repeated(runs, row, group, zero_point);
            *out = value;
        }
        return;
    }
    let (fours, rest) = output.as_chunks_mut::<CHANNELS>();
    groups_of(runs, weights, table, fours, zero_point);
    if !rest.is_empty()
        && let Some(last) = output.last_chunk_mut::<CHANNELS>()
    {
        let before = channels.wrapping_sub(CHANNELS);
        let rows = weights.get(before.wrapping_mul(runs.depth)..).unwrap_or(&[]);
        let table = table.get(channels / CHANNELS..).unwrap_or(&[]);
        groups_of(runs, rows, table, core::slice::from_mut(last), zero_point);
    }
}

/// As [`outputs`], for three places at once: `output` has their channels, `channels` each, side by side. Either
/// there is one run, or all are whole vectors of [`LANES`] elements.
#[inline(always)]
pub fn outputs3<const N: usize>(
    runs: &Runs3<'_, N>,
    weights: &[i8],
    table: &[Group],
    output: &mut [i8],
    channels: usize,
    zero_point: i32,
) {
    let enough = channels.checked_mul(3).is_some_and(|all| all <= output.len());
    if let Some(runs) = runs.whole()
        && enough
        && channels >= CHANNELS
        && complete(channels, runs.depth, weights, table)
    {
        three_places(runs, weights, table, output, channels, zero_point);
    }
}

/// As [`outputs3`], where weights, table and room for the outputs are there.
#[inline(always)]
fn three_places(
    runs: Whole<'_>,
    weights: &[i8],
    table: &[Group],
    output: &mut [i8],
    channels: usize,
    zero_point: i32,
) {
    let whole = channels / CHANNELS;
    groups3_of(runs, weights, table, output, channels, whole, zero_point);
    if !channels.is_multiple_of(CHANNELS) {
        let before = channels.wrapping_sub(CHANNELS);
        let rows = weights.get(before.wrapping_mul(runs.depth)..).unwrap_or(&[]);
        let (table, output) =
            (table.get(whole..).unwrap_or(&[]), output.get_mut(before..).unwrap_or(&mut []));
        groups3_of(runs, rows, table, output, channels, 1, zero_point);
    }
}

/// Computes output channels from rows of inputs, `depth` each, one row after the other: as many as `output` has
/// room for, `channels` each. Otherwise as [`outputs`].
#[inline(never)]
pub fn rows(
    mut input: &[i8],
    depth: usize,
    weights: &[i8],
    table: &[Group],
    mut output: &mut [i8],
    channels: usize,
    zero_point: i32,
) {
    if depth == 0 || channels == 0 || !complete(channels, depth, weights, table) {
        return;
    }
    if channels >= CHANNELS {
        if depth <= LANES {
            let done = shallow_rows(input, depth, weights, table, output, channels, zero_point);
            input = input.get(done.wrapping_mul(depth)..).unwrap_or(&[]);
            output = output.get_mut(done.wrapping_mul(channels)..).unwrap_or(&mut []);
        }
        let (inputs, outputs) = (depth.wrapping_mul(3), channels.wrapping_mul(3));
        let end = Run3 { first: [core::ptr::null(); 3], len: 0 };
        while output.len() >= outputs
            && let Some((now, later)) = input.split_at_checked(inputs)
        {
            let first = now.as_ptr();
            let second = first.wrapping_add(depth);
            let run = Run3 { first: [first, second, second.wrapping_add(depth)], len: depth };
            let (out, rest) = output.split_at_mut_checked(outputs).unwrap_or_default();
            three_places(
                Whole { runs: &[run, end], depth },
                weights,
                table,
                out,
                channels,
                zero_point,
            );
            (input, output) = (later, rest);
        }
    }
    for out in output.whole_chunks_mut(channels) {
        let Some((now, later)) = input.split_at_checked(depth) else { return };
        input = later;
        let mut runs = Runs::<1>::new();
        runs.push(now, depth);
        if let Some(runs) = runs.moved(0) {
            one_place(runs, weights, table, out, zero_point);
        }
    }
}

/// How the inputs of neighboring places are copied: for each, rows of elements.
#[derive(Clone, Copy, Debug)]
pub struct Rectangles {
    /// How many places.
    pub places: usize,
    /// Rows of a place.
    pub rows: usize,
    /// Elements of a row, at most [`LANES`].
    pub len: usize,
    /// Elements from one place to the next: where they are, and where they go.
    pub places_apart: [usize; 2],
    /// Elements from one row to the next: where they are, and where they go.
    pub rows_apart: [usize; 2],
}

/// Copies rows of inputs. Nothing is written when one of them is not there or is longer than it may be.
#[inline(always)]
pub fn gather(rectangles: &Rectangles, from: &[i8], to: &mut [i8]) {
    let &Rectangles { places, rows, len, places_apart, rows_apart } = rectangles;
    let end = |place: usize, row: usize| {
        let last = places.wrapping_sub(1).checked_mul(place)?;
        rows.wrapping_sub(1).checked_mul(row)?.checked_add(last)?.checked_add(len)
    };
    let ends = end(places_apart[0], rows_apart[0]).zip(end(places_apart[1], rows_apart[1]));
    let something = places > 0 && rows > 0 && len > 0 && len <= LANES;
    if something && ends.is_some_and(|(last, room)| last <= from.len() && room <= to.len()) {
        copy(rectangles, from, to);
    }
}

#[cfg(all(target_arch = "arm", feature = "helium"))]
mod instructions;
#[cfg(all(target_arch = "arm", feature = "helium"))]
use instructions::{copy, groups_of, groups3_of, repeated, shallow_rows};
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
mod twin;
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
use twin::{copy, groups_of, groups3_of, repeated, shallow_rows};
