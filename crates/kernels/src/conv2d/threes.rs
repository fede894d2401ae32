//! The walk over output places that takes three of them at once.

use super::{Conv2dThreesI8, Shape};
use crate::Window;
use crate::arch::rv32::{self, Finish, PLACES, RUNS, Runs};
use crate::chunks::Chunks;

/// Inputs of one output place that are gathered when their runs are short or many.
pub const PATCH: usize = 96;

/// The constants of a layer.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) weights: &'a [i8],
    pub(super) table: &'a [[i32; 3]],
    pub(super) padding: &'a [i8],
    pub(super) finish: &'a Finish,
    /// The longest run.
    pub(super) longest: usize,
}

/// One output place: its column, and the first row and column of its window, wrapped when they are in the
/// padding.
#[derive(Clone, Copy)]
struct Place {
    out_column: u32,
    row: u32,
    column: u32,
}

impl Place {
    #[inline(always)]
    fn first(window: &Window) -> Self {
        let before = |padding: u32| 0u32.wrapping_sub(padding);
        Self { out_column: 0, row: before(window.pad_top), column: before(window.pad_left) }
    }

    #[inline(always)]
    fn next(self, window: &Window) -> Self {
        let out_column = self.out_column.wrapping_add(1);
        if out_column == window.out_width {
            let row = self.row.wrapping_add(window.stride_height);
            Self { row, ..Self::first(window) }
        } else {
            Self { out_column, column: self.column.wrapping_add(window.stride_width), ..self }
        }
    }
}

impl Conv2dThreesI8 {
    /// Whether the inputs of a place are gathered where they are not a few long runs.
    #[inline(always)]
    pub(super) fn gathers(&self, shape: &Shape<'_>) -> bool {
        shape.depth <= PATCH && (self.window.width as usize).wrapping_mul(shape.in_channels) < 16
    }
}

impl Shape<'_> {
    /// As [`Shape::convolve`], for one group, three places at a time; `N` is [`PATCH`] where the inputs of a place
    /// are gathered when they are short or many runs, and 0 where they are few at every place.
    #[inline(never)]
    pub(super) fn convolve_threes<const N: usize>(
        &self,
        mut input: &[i8],
        output: &mut [i8],
        layer: Layer<'_>,
    ) {
        let window = self.window;
        let line_len = (window.in_width as usize).wrapping_mul(self.in_channels);
        let image_len = (window.in_height as usize).wrapping_mul(line_len);
        let places = (window.out_height as usize).wrapping_mul(window.out_width as usize);
        let out_len = places.wrapping_mul(self.out_channels);
        let step = (window.stride_width as usize).wrapping_mul(self.in_channels);
        // Going through a run costs twice as much as gathering one input of a place, for each eight channels.
        let cost = (window.height as usize).wrapping_mul(self.out_channels).wrapping_shr(2);
        let gather_always = N > 0 && (cost >= self.depth || window.height as usize > RUNS);
        let many = (window.height as usize).wrapping_mul(window.width as usize) > RUNS;
        for out_image in output.whole_chunks_mut(out_len.max(1)) {
            let Some((image, later)) = input.split_at_checked(image_len) else { return };
            input = later;
            let mut runs = Runs::<RUNS>::new();
            let mut first = Place::first(window);
            let mut done = 0usize;
            // How far the runs that were found are moved on; not to be used when one of them is in the padding.
            let mut found: Option<usize> = None;
            while done < places {
                let count = places.wrapping_sub(done).min(PLACES);
                let second = if count > 1 { first.next(window) } else { first };
                let third = if count > 2 { second.next(window) } else { second };
                let threes = [first, second, third];
                let beside = first.row == third.row
                    && window.has_columns(first.column)
                    && window.has_columns(third.column);
                let within = beside && window.has_rows(first.row);
                let at = match found {
                    Some(before) if within && first.out_column > 0 => {
                        before.wrapping_add(step.wrapping_mul(PLACES))
                    }
                    _ => 0,
                };
                let start = done.wrapping_mul(self.out_channels);
                let len = count.wrapping_mul(self.out_channels);
                let Some(out) = out_image.get_mut(start..start.wrapping_add(len)) else { return };
                if N > 0 && (gather_always || !beside && many) {
                    self.with_patches::<N>(threes, image, layer, out);
                    found = None;
                } else {
                    if at == 0 {
                        self.find_threes(threes, beside, image, layer, &mut runs);
                    }
                    rv32::outputs(
                        &runs, at, layer.weights, layer.table, out, self.out_channels, layer.finish,
                    );
                    found = within.then_some(at);
                }
                done = done.wrapping_add(PLACES);
                first = third.next(window);
            }
        }
    }

    /// Finds the runs of inputs of three places; `beside` says that they are in one row and that all columns of
    /// their windows are in the input.
    #[inline(never)]
    fn find_threes<'v>(
        &self,
        mut places: [Place; PLACES],
        beside: bool,
        image: &'v [i8],
        layer: Layer<'v>,
        runs: &mut Runs<'v, RUNS>,
    ) {
        let window = self.window;
        let line_len = (window.in_width as usize).wrapping_mul(self.in_channels);
        runs.clear();
        for _ in 0..window.height {
            let whole = beside || places.iter().all(|place| place.row >= window.in_height);
            // Columns that lie side by side in the input or in the padding for each place are one run.
            let taps = if whole { 1 } else { window.width };
            let tap_len = if whole { window.width as usize } else { 1 }.wrapping_mul(self.in_channels);
            let mut pending: Option<([bool; PLACES], [&[i8]; PLACES], usize)> = None;
            let mut offset = 0u32;
            for tap in 0..taps {
                let padding =
                    layer.padding.get((tap as usize).wrapping_mul(tap_len)..).unwrap_or(&[]);
                let inside = places.map(|place| {
                    place.row < window.in_height
                        && place.column.wrapping_add(offset) < window.in_width
                });
                match &mut pending {
                    Some((before, _, len)) if *before == inside && window.dilation_width == 1 => {
                        *len = len.wrapping_add(tap_len);
                    }
                    _ => {
                        if let Some((_, values, len)) = pending {
                            push(runs, values, len, layer.longest);
                        }
                        let [a, b, c] = places.map(|place| {
                            let column = place.column.wrapping_add(offset);
                            let line = (place.row as usize).wrapping_mul(line_len);
                            let at = (column as usize).wrapping_mul(self.in_channels);
                            image.get(line.wrapping_add(at)..).unwrap_or(&[])
                        });
                        let [in_a, in_b, in_c] = inside;
                        let values = [
                            if in_a { a } else { padding },
                            if in_b { b } else { padding },
                            if in_c { c } else { padding },
                        ];
                        pending = Some((inside, values, tap_len));
                    }
                }
                offset = offset.wrapping_add(window.dilation_width);
            }
            if let Some((_, values, len)) = pending {
                push(runs, values, len, layer.longest);
            }
            for place in &mut places {
                place.row = place.row.wrapping_add(window.dilation_height);
            }
        }
    }

    /// Computes three places whose inputs are gathered.
    #[inline(never)]
    fn with_patches<const N: usize>(
        &self,
        places: [Place; PLACES],
        image: &[i8],
        layer: Layer<'_>,
        out: &mut [i8],
    ) {
        let mut patches = [[0; N]; PLACES];
        for (place, patch) in places.into_iter().zip(&mut patches) {
            self.gather_columns(place, image, layer.padding, patch);
        }
        let mut runs = Runs::<1>::new();
        runs.push(patches.each_ref().map(|patch| patch.as_slice()), self.depth);
        rv32::outputs(
            &runs, 0, layer.weights, layer.table, out, self.out_channels, layer.finish,
        );
    }

    /// Copies the inputs of one place side by side; columns of its window lie side by side.
    #[inline(never)]
    fn gather_columns(&self, place: Place, image: &[i8], padding: &[i8], patch: &mut [i8]) {
        let window = self.window;
        let of_channels = |columns: u32| (columns as usize).wrapping_mul(self.in_channels);
        // Columns before the input, in it and behind it. A window beyond its right edge is all before it.
        let before = if place.column < window.in_width {
            0
        } else {
            0u32.wrapping_sub(place.column).min(window.width)
        };
        let left = window.width.wrapping_sub(before);
        let first = place.column.wrapping_add(before);
        let inside = left.min(window.in_width.saturating_sub(first));
        let (before, inside, behind) =
            (of_channels(before), of_channels(inside), of_channels(left.wrapping_sub(inside)));
        let line_len = of_channels(window.in_width);
        let start = of_channels(first);
        let mut row = place.row;
        let mut to = patch.iter_mut();
        let mut copy = |values: &[i8], len: usize| {
            for (&value, to) in values.iter().take(len).zip(&mut to) {
                *to = value;
            }
        };
        for _ in 0..window.height {
            if row < window.in_height {
                let at = (row as usize).wrapping_mul(line_len).wrapping_add(start);
                copy(padding, before);
                copy(image.get(at..).unwrap_or(&[]), inside);
                copy(padding, behind);
            } else {
                copy(padding, before.wrapping_add(inside).wrapping_add(behind));
            }
            row = row.wrapping_add(window.dilation_height);
        }
    }
}

/// Adds inputs of three places in pieces of at most `longest`.
#[inline(always)]
pub(crate) fn push<'v, const N: usize>(
    runs: &mut Runs<'v, N>,
    mut values: [&'v [i8]; PLACES],
    mut len: usize,
    longest: usize,
) {
    while len > longest && longest > 0 {
        runs.push(values, longest);
        values = values.map(|values| values.get(longest..).unwrap_or(&[]));
        len = len.wrapping_sub(longest);
    }
    runs.push(values, len);
}
