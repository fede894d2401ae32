//! Helium, the vector extension of Armv8.1-M (Cortex-M52, M55, M85): sixteen products and their sum in one
//! instruction.
//!
//! Weights are plain rows, one for each output channel: loops that end within a vector leave the rest of it out,
//! so that neither rows nor inputs need filling up. Sums of four channels are requantized together.

#[cfg(all(target_arch = "arm", feature = "helium"))]
pub mod add;
pub mod depthwise;

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

/// What is the same for all places of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// A row of as many weights as there are inputs for each output channel.
    pub weights: &'a [i8],
    /// What [`groups`] says; right shifts are 1 to 31, otherwise as `multiply_by_quantized_multiplier` takes them.
    pub table: &'a [Group],
    /// Output channels.
    pub channels: usize,
    /// Zero point of the output.
    pub zero_point: i32,
}

impl Layer<'_> {
    /// Whether weights and table are there for all channels and so many inputs.
    #[inline(always)]
    fn is_complete(&self, depth: usize) -> bool {
        let needed = depth.checked_mul(self.channels);
        needed.is_some_and(|needed| needed <= self.weights.len())
            && groups(self.channels) <= self.table.len()
    }
}

/// Runs of three places at once.
#[derive(Clone, Copy)]
#[repr(C)]
struct Run3 {
    first: [*const i8; 3],
    len: usize,
}

impl Run3 {
    /// Behind the last one.
    const END: Self = Self { first: [core::ptr::null(); 3], len: 0 };

    #[inline(always)]
    fn new(first: *const i8, step: usize, len: usize) -> Self {
        let second = first.wrapping_add(step);
        Self { first: [first, second, second.wrapping_add(step)], len }
    }
}

/// Less than `N` slices whose elements, one slice after the other, are the inputs of an output place; of three
/// places at once.
pub struct Runs3<'a, const N: usize> {
    /// Behind the last one there is one that is empty.
    runs: [Run3; N],
    count: usize,
    /// The first of those that move from place to place, which are neighbors.
    first_moving: usize,
    last_moving: usize,
    depth: usize,
    /// How far they may move.
    slack: usize,
    slices: PhantomData<&'a [i8]>,
}

impl<'a, const N: usize> Runs3<'a, N> {
    /// None; all zeros, so that it is made where it stays. [`Runs3::clear`] comes before the first run.
    pub const EMPTY: Self = Self {
        runs: [Run3::END; N],
        count: 0,
        first_moving: 0,
        last_moving: 0,
        depth: 0,
        slack: 0,
        slices: PhantomData,
    };

    /// Forgets them all.
    #[inline(always)]
    pub fn clear(&mut self) {
        (self.count, self.first_moving, self.last_moving) = (0, 0, 0);
        (self.depth, self.slack) = (0, usize::MAX);
    }

    /// Adds a run of `len` elements, a multiple of [`LANES`], which begins `step` elements further for each place;
    /// nothing happens when that many elements are not there, or there is no place left.
    #[inline(always)]
    pub fn push(&mut self, values: &'a [i8], step: usize, len: usize) {
        let slack =
            step.checked_mul(2).and_then(|two| values.len().checked_sub(two)?.checked_sub(len));
        if let Some([run, end]) = self.runs.get_mut(self.count..).and_then(<[_]>::first_chunk_mut)
            && let Some(slack) = slack
            && len > 0
            && len.is_multiple_of(LANES)
        {
            *run = Run3::new(values.as_ptr(), step, len);
            end.len = 0;
            self.count = self.count.wrapping_add(1);
            self.depth = self.depth.wrapping_add(len);
            if step > 0 {
                self.slack = self.slack.min(slack);
                self.last_moving = self.count;
            } else if self.last_moving == 0 {
                self.first_moving = self.count;
            }
        }
    }

    /// Moves those that are not the same for all places.
    #[inline(always)]
    fn advance(&mut self, by: usize) {
        let moving = self.runs.get_mut(self.first_moving..self.last_moving).unwrap_or(&mut []);
        for run in moving {
            run.first = run.first.map(|first| first.wrapping_add(by));
        }
    }
}

/// Runs that are there, with an empty one behind them: one run, or several of whole vectors.
#[derive(Clone, Copy)]
struct Whole<'a> {
    runs: &'a [Run3],
    depth: usize,
}

/// Computes the output channels of `threes` times three places: their channels begin `apart` elements apart, and
/// those of the next three `next_output` elements further, where runs have moved `next_input` elements.
///
/// Nothing is written when inputs, weights, table or room for the outputs are not there, or there are fewer than
/// [`CHANNELS`] channels.
#[inline(never)]
pub fn threes<const N: usize>(
    runs: &mut Runs3<'_, N>,
    layer: &Layer<'_>,
    output: &mut [i8],
    [threes, apart]: [usize; 2],
    [next_input, next_output]: [usize; 2],
) {
    let Some(last) = threes.checked_sub(1) else { return };
    let end = (|| {
        let last = last.checked_mul(next_output)?.checked_add(apart.checked_mul(2)?)?;
        last.checked_add(layer.channels)
    })();
    let moves = last.checked_mul(next_input);
    if runs.count == 0
        || layer.channels < CHANNELS
        || !layer.is_complete(runs.depth)
        || end.is_none_or(|end| end > output.len())
        || moves.is_none_or(|moves| moves > runs.slack)
    {
        return;
    }
    let mut output = output;
    for _ in 0..threes {
        let all = runs.runs.get(..=runs.count).unwrap_or(&[]);
        three_places(Whole { runs: all, depth: runs.depth }, layer, output, apart);
        output = output.get_mut(next_output..).unwrap_or(&mut []);
        runs.advance(next_input);
    }
}

/// Computes the output channels of three places, which begin `apart` elements apart; weights, table and room for
/// the outputs are there.
#[inline(always)]
fn three_places(runs: Whole<'_>, layer: &Layer<'_>, output: &mut [i8], apart: usize) {
    let whole = layer.channels / CHANNELS;
    groups3_of(runs, layer, output, apart, whole);
    if !layer.channels.is_multiple_of(CHANNELS) {
        let before = layer.channels.wrapping_sub(CHANNELS);
        let layer = Layer {
            weights: layer.weights.get(before.wrapping_mul(runs.depth)..).unwrap_or(&[]),
            table: layer.table.get(whole..).unwrap_or(&[]),
            ..*layer
        };
        let output = output.get_mut(before..).unwrap_or(&mut []);
        groups3_of(runs, &layer, output, apart, 1);
    }
}

/// Computes output channels from rows of `depth` inputs, one row after the other: as many as `output` has room for.
///
/// Nothing is written where inputs, weights or table are not there.
#[inline(never)]
pub fn rows(mut input: &[i8], depth: usize, layer: &Layer<'_>, mut output: &mut [i8]) {
    let channels = layer.channels;
    if depth == 0 || channels == 0 || !layer.is_complete(depth) {
        return;
    }
    if channels >= CHANNELS && output.len() > channels {
        let done = if depth <= LANES { shallow_rows(input, depth, layer, output) } else { 0 };
        input = input.get(done.wrapping_mul(depth)..).unwrap_or(&[]);
        output = output.get_mut(done.wrapping_mul(channels)..).unwrap_or(&mut []);
        let done = three_rows(input, depth, layer, output);
        input = input.get(done.wrapping_mul(depth)..).unwrap_or(&[]);
        output = output.get_mut(done.wrapping_mul(channels)..).unwrap_or(&mut []);
    }
    for out in output.whole_chunks_mut(channels) {
        let Some((now, later)) = input.split_at_checked(depth) else { return };
        input = later;
        one_place(now, layer, out);
    }
}

/// Narrows outputs to a range, where it is not that of the type. Not inlined: registers for it would be saved around
/// the whole layer.
#[inline(never)]
pub fn narrow(output: &mut [i8], min: i32, max: i32) {
    if min > -128 || max < 127 {
        for out in output {
            *out = i32::from(*out).max(min).min(max) as i8;
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

impl Rectangles {
    /// Whether all elements of some places are in slices of these lengths.
    #[inline(always)]
    fn fit(&self, places: usize, from: usize, to: usize) -> bool {
        let end = |which: fn([usize; 2]) -> usize, places: usize| {
            let last = places.wrapping_sub(1).checked_mul(which(self.places_apart))?;
            let last_row = self.rows.wrapping_sub(1).checked_mul(which(self.rows_apart))?;
            last_row.checked_add(last)?.checked_add(self.len)
        };
        let something = self.places > 0 && self.rows > 0 && self.len > 0 && self.len <= LANES;
        something
            && end(|[from, _]| from, places).is_some_and(|end| end <= from)
            && end(|[_, to]| to, self.places).is_some_and(|end| end <= to)
    }
}

/// Copies rows of inputs. Nothing is written when one of them is not there or is longer than it may be.
#[inline(always)]
pub fn gather(rectangles: &Rectangles, from: &[i8], to: &mut [i8]) {
    if rectangles.fit(rectangles.places, from.len(), to.len()) {
        copy(rectangles, from, to);
    }
}

/// Copies the inputs of three places and computes their output channels, as often as `threes` says; the places follow
/// each other in `from` and in `output`. `patches` are for copies, all inputs of one place behind those of another; the
/// first `skipped` of each are there.
///
/// Nothing is written unless inputs, weights, table and room for copies and outputs are there, and the channels are
/// whole groups of [`CHANNELS`].
#[inline(always)]
pub fn gather_threes(
    rectangles: &Rectangles,
    from: &[i8],
    patches: &mut [i8],
    skipped: usize,
    layer: &Layer<'_>,
    output: &mut [i8],
    threes: usize,
) {
    let [_, depth] = rectangles.places_apart;
    let places = threes.checked_mul(3);
    let room = places.and_then(|places| places.checked_mul(layer.channels));
    if let Some(places) = places
        && threes > 0
        && depth > 0
        && rectangles.places == 3
        && rectangles.fit(places, from.len(), patches.len().saturating_sub(skipped))
        && depth.checked_mul(3).is_some_and(|needed| needed <= patches.len())
        && layer.channels > 0
        && layer.channels.is_multiple_of(CHANNELS)
        && layer.is_complete(depth)
        && room.is_some_and(|needed| needed <= output.len())
    {
        gathered_threes(rectangles, from, patches, skipped, layer, output, threes);
    }
}

#[cfg(all(target_arch = "arm", feature = "helium"))]
mod copies;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod instructions;
#[cfg(all(target_arch = "arm", feature = "helium"))]
mod shallow;
#[cfg(all(target_arch = "arm", feature = "helium"))]
pub use copies::copy_rows;
#[cfg(all(target_arch = "arm", feature = "helium"))]
use {
    copies::copy,
    instructions::{gathered_threes, groups3_of, one_place, three_rows},
    shallow::shallow_rows,
};
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
mod twin;
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
use twin::{copy, gathered_threes, groups3_of, one_place, shallow_rows, three_rows};
