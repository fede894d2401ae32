//! The walk over output places that takes three of them at once.

use super::{Conv2dThreesI8, Shape};
use crate::Window;
use crate::arch::rv32::{self, Finish, Layer, Lines, PLACES, RUNS, Runs};
use crate::chunks::Chunks;
use crate::copy::copy_words;
use crate::rows::{Block, Blocks, Image};
use crate::window::clip;

/// Inputs of one output place that are gathered when they may be more than [`RUNS`].
pub const PATCH: usize = 80;

/// One output place: its column, and the first row and column of its window, wrapped when they are in the
/// padding.
#[derive(Clone, Copy)]
struct Place {
    out_column: u32,
    row: u32,
    column: u32,
}

impl Place {
    /// The first one of a row of outputs.
    #[inline(always)]
    fn first(window: &Window, row: u32) -> Self {
        Self { out_column: 0, row, column: 0u32.wrapping_sub(window.pad_left) }
    }

    #[inline(always)]
    fn next(self, window: &Window) -> Self {
        let out_column = self.out_column.wrapping_add(1);
        if out_column == window.out_width {
            Self::first(window, self.row.wrapping_add(window.stride_height))
        } else {
            Self { out_column, column: self.column.wrapping_add(window.stride_width), ..self }
        }
    }
}

/// Whether the inputs of a place are gathered where they are not the same in each row: there are more taps
/// than may be runs.
#[inline(always)]
pub(super) fn gathers(p: &Conv2dThreesI8) -> bool {
    p.window.height.wrapping_mul(p.window.width) as usize > RUNS
}

/// What is the same for all places.
#[inline(always)]
fn layer<'a>(p: &Conv2dThreesI8, weights: &'a [i8], channels: &'a [i32]) -> Layer<'a> {
    Layer {
        weights,
        table: channels.as_chunks().0,
        channels: (p.out_channels as usize).max(1),
        longest: p.longest as usize,
        finish: Finish::new(p.output_zero_point, p.min, p.max),
    }
}

/// Computes three places at a time; the inputs of places near the border are a few runs.
#[inline(never)]
pub(super) fn convolve(
    p: &Conv2dThreesI8,
    blocks: &mut Blocks<'_, i8>,
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
) {
    let layer = layer(p, weights, channels);
    let shape = Shape::new(&p.window, p.in_channels, p.out_channels, 1);
    while let Some(Block { image, first, output, .. }) = blocks.next(shape.window, shape.lines()) {
        let mut runs = Runs::<RUNS>::new();
        let mut threes = Threes { next: Place::first(shape.window, first), rest: output };
        while let Some((places, out)) = threes.next(&shape) {
            let beside = shape.beside(&places);
            let lines = if beside && shape.window.has_rows(places[0].row, image.height) {
                shape.whole_lines(places, image, &mut runs)
            } else {
                shape.find_threes(places, beside, image, padding, &mut runs);
                Lines::ONE
            };
            rv32::outputs(&layer, &runs, lines, out);
        }
    }
}

/// As [`convolve`]; the inputs of places near the border are gathered.
#[inline(never)]
pub(super) fn convolve_gathered(
    p: &Conv2dThreesI8,
    blocks: &mut Blocks<'_, i8>,
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
) {
    let layer = layer(p, weights, channels);
    let shape = Shape::new(&p.window, p.in_channels, p.out_channels, 1);
    // Going through a row costs for each eight channels what gathering a few inputs does.
    let rows = (shape.window.height as usize).wrapping_mul(shape.out_channels);
    let all = rows >= shape.depth.wrapping_mul(4);
    let mut patches = [[0; PATCH]; PLACES];
    while let Some(Block { image, first, output, .. }) = blocks.next(shape.window, shape.lines()) {
        let mut threes = Threes { next: Place::first(shape.window, first), rest: output };
        while let Some((places, out)) = threes.next(&shape) {
            let mut runs = Runs::<1>::new();
            let within =
                shape.beside(&places) && shape.window.has_rows(places[0].row, image.height);
            let lines = if within && !all {
                shape.whole_lines(places, image, &mut runs)
            } else {
                for (place, patch) in places.into_iter().zip(&mut patches) {
                    let patch = patch.get_mut(..shape.depth).unwrap_or(&mut []);
                    shape.gather_columns(place, image, padding, patch);
                }
                runs.push(patches.each_ref().map(|patch| patch.as_slice()), shape.depth);
                Lines::ONE
            };
            rv32::outputs(&layer, &runs, lines, out);
        }
    }
}

/// Places three by three, with their outputs.
struct Threes<'a> {
    next: Place,
    rest: &'a mut [i8],
}

impl<'a> Threes<'a> {
    /// The next three: fewer at the end, where the last one stands for those that are missing.
    #[inline(always)]
    fn next(&mut self, shape: &Shape<'_>) -> Option<([Place; PLACES], &'a mut [i8])> {
        let window = shape.window;
        let most = shape.out_channels.wrapping_mul(PLACES);
        let len = self.rest.len().min(most);
        let (out, later) = core::mem::take(&mut self.rest).split_at_mut_checked(len)?;
        self.rest = later;
        if out.is_empty() {
            return None;
        }
        let first = self.next;
        let second = if len > shape.out_channels { first.next(window) } else { first };
        let third = if len == most { second.next(window) } else { second };
        self.next = third.next(window);
        Some(([first, second, third], out))
    }
}

impl Shape<'_> {
    /// Whether places are in one row with all columns of their windows in the input.
    #[inline(always)]
    fn beside(&self, [first, _, third]: &[Place; PLACES]) -> bool {
        first.row == third.row
            && self.window.has_columns(first.column)
            && self.window.has_columns(third.column)
    }

    /// The run of inputs of places whose rows all are in the input, and those rows.
    #[inline(always)]
    fn whole_lines<'v, const R: usize>(
        &self,
        threes: [Place; PLACES],
        image: Image<'v, i8>,
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
    fn inputs<'v>(&self, place: Place, column: u32, image: Image<'v, i8>) -> &'v [i8] {
        let line = (place.row as usize).wrapping_mul(self.columns(self.window.in_width));
        let at = self.columns(place.column.wrapping_add(column));
        image.values.get(line.wrapping_add(at)..).unwrap_or(&[])
    }

    /// Finds the runs of inputs of three places; `beside` says that they are in one row and that all columns of
    /// their windows are in the input.
    #[inline(never)]
    fn find_threes<'v>(
        &self,
        mut places: [Place; PLACES],
        beside: bool,
        image: Image<'v, i8>,
        padding: &'v [i8],
        runs: &mut Runs<'v, RUNS>,
    ) {
        let window = self.window;
        runs.clear();
        for _ in 0..window.height {
            let whole = beside || places.iter().all(|place| place.row >= image.height);
            // Columns that lie side by side in the input or in the padding for each place are one run.
            let mut column = 0u32;
            while column < window.width {
                let inside = |column: u32| {
                    places.map(|place| {
                        place.row < image.height
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
    fn gather_columns(
        &self,
        place: Place,
        image: Image<'_, i8>,
        padding: &[i8],
        patch: &mut [i8],
    ) {
        let window = self.window;
        let (before, inside) = clip(place.column, window.width, window.in_width);
        let row_len = self.columns(window.width);
        let line_len = self.columns(window.in_width);
        let (before_len, inside_len) = (self.columns(before), self.columns(inside));
        let start = self.columns(place.column.wrapping_add(before));
        if inside < window.width || !window.has_rows(place.row, image.height) {
            let zero = padding.first().copied().unwrap_or(0);
            for to in patch.iter_mut() {
                *to = zero;
            }
        }
        let mut row = place.row;
        for to in patch.whole_chunks_mut(row_len) {
            if row < image.height {
                let at = (row as usize).wrapping_mul(line_len).wrapping_add(start);
                let to = to.get_mut(before_len..before_len.wrapping_add(inside_len));
                let values = image.values.get(at..at.wrapping_add(inside_len));
                if let (Some(to), Some(values)) = (to, values) {
                    copy_words(view(values), view_mut(to));
                }
            }
            row = row.wrapping_add(window.dilation_height);
        }
    }
}

/// As bytes without a sign.
#[inline(always)]
fn view(values: &[i8]) -> &[u8] {
    bytemuck::try_cast_slice(values).unwrap_or(&[])
}

/// As [`view`], to write.
#[inline(always)]
fn view_mut(values: &mut [i8]) -> &mut [u8] {
    bytemuck::try_cast_slice_mut(values).unwrap_or(&mut [])
}
