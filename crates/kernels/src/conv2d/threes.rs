//! The walk over output places that takes three of them at once.

use super::Shape;
use crate::Window;
use crate::arch::rv32::{self, Layer, Lines, PLACES, RUNS, Runs};
use crate::chunks::Chunks;

/// Inputs of one output place that are gathered when its rows are short.
pub const PATCH: usize = 80;

/// Rows of a window that are shorter are gathered.
pub const SHORT: usize = 16;

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

/// Whether the inputs of a place are gathered where they are not the same in each row.
#[inline(always)]
pub(super) fn gathers(shape: &Shape<'_>) -> bool {
    shape.depth <= PATCH && (shape.window.width as usize).wrapping_mul(shape.in_channels) < SHORT
}

impl Shape<'_> {
    /// As [`Shape::convolve`], for one group, three places at a time; the inputs of places near the border are a
    /// few runs.
    #[inline(never)]
    pub(super) fn convolve_threes(
        &self,
        input: &[i8],
        padding: &[i8],
        output: &mut [i8],
        layer: &Layer<'_>,
    ) {
        let mut runs = Runs::<RUNS>::new();
        self.each_three(input, output, |threes, beside, within, image, out| {
            let lines = if within {
                self.whole_lines(threes, image, &mut runs)
            } else {
                self.find_threes(threes, beside, image, padding, &mut runs);
                Lines::ONE
            };
            rv32::outputs(layer, &runs, lines, out);
        });
    }

    /// As [`Shape::convolve_threes`], where the inputs of places near the border are gathered.
    #[inline(never)]
    pub(super) fn convolve_gathered(
        &self,
        input: &[i8],
        padding: &[i8],
        output: &mut [i8],
        layer: &Layer<'_>,
    ) {
        // Going through a row costs for each eight channels what gathering a few inputs does.
        let rows = (self.window.height as usize).wrapping_mul(self.out_channels);
        let all = rows >= self.depth.wrapping_mul(4);
        let mut patches = [[0; PATCH]; PLACES];
        self.each_three(input, output, |threes, _, within, image, out| {
            let mut runs = Runs::<1>::new();
            let lines = if within && !all {
                self.whole_lines(threes, image, &mut runs)
            } else {
                for (place, patch) in threes.into_iter().zip(&mut patches) {
                    self.gather_columns(place, image, padding, patch);
                }
                runs.push(patches.each_ref().map(|patch| patch.as_slice()), self.depth);
                Lines::ONE
            };
            rv32::outputs(layer, &runs, lines, out);
        });
    }

    /// Hands out places three by three, with their outputs: fewer at the end, where the last one stands for those
    /// that are missing. Whether they are in one row with all columns in the input, and with all rows as well.
    #[inline(always)]
    fn each_three<'v>(
        &self,
        mut input: &'v [i8],
        output: &mut [i8],
        mut visit: impl FnMut([Place; PLACES], bool, bool, &'v [i8], &mut [i8]),
    ) {
        let window = self.window;
        let image_len =
            (window.in_height as usize).wrapping_mul(self.columns(window.in_width));
        let out_len = (window.out_height as usize)
            .wrapping_mul(window.out_width as usize)
            .wrapping_mul(self.out_channels);
        let most = self.out_channels.wrapping_mul(PLACES);
        for mut rest in output.whole_chunks_mut(out_len.max(1)) {
            let Some((image, later)) = input.split_at_checked(image_len) else { return };
            input = later;
            let mut first = Place::first(window);
            while !rest.is_empty() {
                let len = rest.len().min(most);
                let (out, later) =
                    core::mem::take(&mut rest).split_at_mut_checked(len).unwrap_or_default();
                rest = later;
                let second =
                    if out.len() > self.out_channels { first.next(window) } else { first };
                let third = if out.len() == most { second.next(window) } else { second };
                let beside = first.row == third.row
                    && window.has_columns(first.column)
                    && window.has_columns(third.column);
                let within = beside && window.has_rows(first.row);
                visit([first, second, third], beside, within, image, out);
                first = third.next(window);
            }
        }
    }

    /// The run of inputs of places whose rows all are in the input, and those rows.
    #[inline(always)]
    fn whole_lines<'v, const R: usize>(
        &self,
        threes: [Place; PLACES],
        image: &'v [i8],
        runs: &mut Runs<'v, R>,
    ) -> Lines {
        let window = self.window;
        runs.clear();
        runs.push(threes.map(|place| self.inputs(place, 0, image)), self.columns(window.width));
        let line_len = self.columns(window.in_width);
        let step = (window.dilation_height as usize).wrapping_mul(line_len);
        Lines { count: window.height as usize, step }
    }

    /// Elements of so many columns.
    #[inline(always)]
    fn columns(&self, columns: u32) -> usize {
        (columns as usize).wrapping_mul(self.in_channels)
    }

    /// The inputs from the first row of a place's window and from this column of it on.
    #[inline(always)]
    fn inputs<'v>(&self, place: Place, column: u32, image: &'v [i8]) -> &'v [i8] {
        let line = (place.row as usize).wrapping_mul(self.columns(self.window.in_width));
        let at = self.columns(place.column.wrapping_add(column));
        image.get(line.wrapping_add(at)..).unwrap_or(&[])
    }

    /// Finds the runs of inputs of three places; `beside` says that they are in one row and that all columns of
    /// their windows are in the input.
    #[inline(never)]
    fn find_threes<'v>(
        &self,
        mut places: [Place; PLACES],
        beside: bool,
        image: &'v [i8],
        padding: &'v [i8],
        runs: &mut Runs<'v, RUNS>,
    ) {
        let window = self.window;
        runs.clear();
        for _ in 0..window.height {
            let whole = beside || places.iter().all(|place| place.row >= window.in_height);
            // Columns that lie side by side in the input or in the padding for each place are one run.
            let mut column = 0u32;
            while column < window.width {
                let inside = |column: u32| {
                    places.map(|place| {
                        place.row < window.in_height
                            && place.column.wrapping_add(column) < window.in_width
                    })
                };
                let (first, start) = (inside(column), column);
                column = if whole { window.width } else { column.wrapping_add(1) };
                while column < window.width && inside(column) == first {
                    column = column.wrapping_add(1);
                }
                let padding = padding.get(self.columns(start)..).unwrap_or(&[]);
                let [a, b, c] = places.map(|place| self.inputs(place, start, image));
                let [in_a, in_b, in_c] = first;
                let values = [
                    if in_a { a } else { padding },
                    if in_b { b } else { padding },
                    if in_c { c } else { padding },
                ];
                runs.push(values, self.columns(column.wrapping_sub(start)));
            }
            for place in &mut places {
                place.row = place.row.wrapping_add(window.dilation_height);
            }
        }
    }

    /// Copies the inputs of one place side by side; columns of its window lie side by side.
    #[inline(never)]
    fn gather_columns(&self, place: Place, image: &[i8], padding: &[i8], patch: &mut [i8]) {
        let window = self.window;
        // Columns before the input, in it and behind it. A window beyond its right edge is all before it.
        let before = if place.column < window.in_width {
            0
        } else {
            0u32.wrapping_sub(place.column).min(window.width)
        };
        let inside = window
            .width
            .wrapping_sub(before)
            .min(window.in_width.saturating_sub(place.column.wrapping_add(before)));
        let (row_len, before_len) = (self.columns(window.width), self.columns(before));
        let inside_len = self.columns(inside);
        let line_len = self.columns(window.in_width);
        let start = self.columns(place.column.wrapping_add(before));
        let mut row = place.row;
        for to in patch.whole_chunks_mut(row_len).take(window.height as usize) {
            let at = (row as usize).wrapping_mul(line_len).wrapping_add(start);
            let values = match image.get(at..at.wrapping_add(inside_len)) {
                Some(values) if row < window.in_height => values,
                _ => padding,
            };
            row = row.wrapping_add(window.dilation_height);
            if values.len() >= row_len {
                copy(to, values);
                continue;
            }
            let mut padding = padding.iter();
            let mut to = to.iter_mut();
            for (to, &value) in to.by_ref().take(before_len).zip(padding.by_ref()) {
                *to = value;
            }
            for (to, &value) in to.by_ref().take(inside_len).zip(values) {
                *to = value;
            }
            for (to, &value) in to.zip(padding) {
                *to = value;
            }
        }
    }
}

/// Copies as many as there is place for. No `copy_from_slice`: the runs are short, and a general `memcpy` is larger
/// than this kernel.
#[inline(always)]
fn copy(to: &mut [i8], from: &[i8]) {
    let (to_fours, to_rest) = to.as_chunks_mut::<4>();
    let (from_fours, _) = from.as_chunks::<4>();
    for (to, from) in to_fours.iter_mut().zip(from_fours) {
        *to = *from;
    }
    let done = to_fours.len().wrapping_mul(4);
    for (to, from) in to_rest.iter_mut().zip(from.get(done..).unwrap_or(&[])) {
        *to = *from;
    }
}
