//! Convolution by [`crate::arch::helium`]: three output places at once.

use super::{Place, Shape};
use crate::Window;
use crate::arch::helium::{self, Group, LANES, Rectangles, Runs3};
use crate::arch::runs::Runs;
use crate::chunks::Chunks;
use crate::dot::RequantizeShiftI8;
use crate::window::offset;

/// Inputs that are gathered, of one place or of three.
const PATCHES: usize = 240;

/// Rows of a window whose inputs are taken where they lie.
const ROWS: usize = 5;

/// Runs of one output place in so many rows: what is in the input, and one border.
const RUNS: usize = 2 * ROWS;

kernel! {
    /// As [`super::Conv2dI8`] of one group, for windows of [`takes_rows`]; weights and table as
    /// [`crate::arch::helium`] takes them.
    conv2d_rows_i8 version 1
    params Conv2dRowsI8 {
        /// How the window slides.
        window: Window,
        /// Input channels.
        in_channels: u32,
        /// Output channels.
        out_channels: u32,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    operands (
        input input: i8,
        constant weights: i8,
        constant channels: i32,
        constant padding: i8,
        output output: i8,
    )
}

/// Whether inputs are taken where they lie: in runs of whole vectors.
#[inline(always)]
fn lies_in_rows(window: &Window, in_channels: u32) -> bool {
    (in_channels as usize).is_multiple_of(LANES)
        && window.dilation_width == 1
        && window.height as usize <= ROWS
        && window.width <= window.in_width
}

/// Whether [`Conv2dRowsI8`] takes inputs of so many channels: where they lie, or after they have been gathered.
#[inline(always)]
pub fn takes_rows(window: &Window, in_channels: u32) -> bool {
    let taps = u64::from(window.height).saturating_mul(u64::from(window.width));
    let depth = taps.saturating_mul(u64::from(in_channels));
    lies_in_rows(window, in_channels) || depth <= PATCHES as u64
}

#[inline(always)]
fn conv2d_rows_i8(
    p: &Conv2dRowsI8,
    input: &[i8],
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
    output: &mut [i8],
) {
    let finish = RequantizeShiftI8::new(p.output_zero_point, p.min, p.max);
    let (words, _) = channels.as_chunks();
    let (table, _) = words.as_chunks();
    let shape = Shape::new(&p.window, p.in_channels, p.out_channels, 1);
    let layer = Layer { weights, table, padding, zero_point: p.output_zero_point };
    if lies_in_rows(&p.window, p.in_channels) {
        shape.convolve_in_place(input, &layer, output);
    } else {
        shape.convolve_patches(input, &layer, output);
    }
    finish.narrow(output);
}

/// What is the same for all output places.
struct Layer<'a> {
    weights: &'a [i8],
    table: &'a [Group],
    padding: &'a [i8],
    zero_point: i32,
}

/// Runs that are found again for each place or each three.
struct Found<'a> {
    three: Runs3<'a, { ROWS + 1 }>,
    one: Runs<'a, RUNS>,
}

/// How many of so many taps from `first` on, which has wrapped where it is before the input, are before the
/// input, and how many in it. Those of a window behind it are all before.
#[inline(always)]
fn clip(first: u32, taps: u32, len: u32) -> (usize, usize) {
    let before = if first < len { 0 } else { 0u32.wrapping_sub(first).min(taps) };
    let left = taps.wrapping_sub(before);
    let inside = left.min(len.saturating_sub(first.wrapping_add(before)));
    (before as usize, inside as usize)
}

impl Shape<'_> {
    /// Elements of an image of the input, of a row of the output, and of an image of the output.
    #[inline(always)]
    fn lengths(&self) -> [usize; 3] {
        let window = self.window;
        let image = (window.in_height as usize)
            .wrapping_mul(window.in_width as usize)
            .wrapping_mul(self.in_channels);
        let row = (window.out_width as usize).wrapping_mul(self.out_channels);
        [image, row, (window.out_height as usize).wrapping_mul(row)]
    }

    /// Takes inputs where they lie.
    #[inline(never)]
    fn convolve_in_place<'v>(
        &self,
        mut input: &'v [i8],
        layer: &Layer<'v>,
        output: &mut [i8],
    ) {
        let window = self.window;
        let mut found = Found { three: Runs3::new(), one: Runs::new() };
        let [image_len, row_len, out_len] = self.lengths();
        for out_image in output.whole_chunks_mut(out_len.max(1)) {
            let Some((image, later)) = input.split_at_checked(image_len) else { return };
            input = later;
            let mut row = 0u32.wrapping_sub(window.pad_top);
            for out_row in out_image.whole_chunks_mut(row_len.max(1)) {
                self.convolve_row(row, image, layer, out_row, &mut found);
                row = row.wrapping_add(window.stride_height);
            }
        }
    }

    /// One row of outputs, whose windows begin at this row of the input.
    #[inline(always)]
    fn convolve_row<'v>(
        &self,
        row: u32,
        image: &'v [i8],
        layer: &Layer<'v>,
        mut output: &mut [i8],
        found: &mut Found<'v>,
    ) {
        let window = self.window;
        let channels = self.out_channels;
        let three = if channels < helium::CHANNELS { usize::MAX } else { channels.wrapping_mul(3) };
        let two_steps = window.stride_width.wrapping_mul(2);
        let mut column = 0u32.wrapping_sub(window.pad_left);
        while output.len() >= channels {
            let together = output.len() >= three
                && window.has_columns(column)
                && window.has_columns(column.wrapping_add(two_steps));
            let places = if together { three } else { channels };
            let (out, later) = output.split_at_mut_checked(places).unwrap_or_default();
            output = later;
            if together {
                self.find_three(row, column, image, layer.padding, &mut found.three);
                let runs = &found.three;
                helium::outputs3(runs, layer.weights, layer.table, out, channels, layer.zero_point);
                column = column.wrapping_add(two_steps);
            } else {
                self.find(row, column, image, layer.padding, &mut found.one);
                helium::outputs(&found.one, layer.weights, layer.table, out, layer.zero_point);
            }
            column = column.wrapping_add(window.stride_width);
        }
    }

    /// Finds the runs of three neighboring places, whose columns are in the input.
    #[inline(always)]
    fn find_three<'v>(
        &self,
        mut row: u32,
        column: u32,
        image: &'v [i8],
        padding: &'v [i8],
        runs: &mut Runs3<'v, { ROWS + 1 }>,
    ) {
        let window = self.window;
        let line_len = (window.in_width as usize).wrapping_mul(self.in_channels);
        let step = (window.stride_width as usize).wrapping_mul(self.in_channels);
        let len = (window.width as usize).wrapping_mul(self.in_channels);
        let start = (column as usize).wrapping_mul(self.in_channels);
        runs.clear();
        for _ in 0..window.height {
            if row < window.in_height {
                let at = (row as usize).wrapping_mul(line_len).wrapping_add(start);
                runs.push(image.get(at..).unwrap_or(&[]), step, len);
            } else {
                runs.push(padding, 0, len);
            }
            row = row.wrapping_add(window.dilation_height);
        }
    }

    /// Gathers inputs first.
    #[inline(never)]
    fn convolve_patches(&self, mut input: &[i8], layer: &Layer<'_>, output: &mut [i8]) {
        let window = self.window;
        let [image_len, _, out_len] = self.lengths();
        let few = self.depth.wrapping_mul(3) > PATCHES || self.out_channels < helium::CHANNELS;
        let together: usize = if few { 1 } else { 3 };
        let mut patches = [0; PATCHES];
        for out_image in output.whole_chunks_mut(out_len.max(1)) {
            let Some((image, later)) = input.split_at_checked(image_len) else { return };
            input = later;
            let mut left = out_image;
            let mut filled = 0usize;
            let mut row = 0u32.wrapping_sub(window.pad_top);
            for _ in 0..window.out_height {
                let mut places = window.out_width;
                let mut column = 0u32.wrapping_sub(window.pad_left);
                while places > 0 {
                    let at = filled.wrapping_mul(self.depth);
                    let room = together.wrapping_sub(filled) as u32;
                    let inside = self.places_inside(column, places.min(room));
                    let patch = patches.get_mut(at..).unwrap_or(&mut []);
                    self.gather_places(row, column, inside, image, layer.padding, patch);
                    let new = inside.max(1);
                    filled = filled.wrapping_add(new as usize);
                    places = places.wrapping_sub(new);
                    column = column.wrapping_add(new.wrapping_mul(window.stride_width));
                    if filled == together {
                        left = self.of_patches(&patches, filled, layer, left);
                        filled = 0;
                    }
                }
                row = row.wrapping_add(window.stride_height);
            }
            self.of_patches(&patches, filled, layer, left);
        }
    }

    /// How many places from this column on, at most so many, have all their columns in the input.
    #[inline(always)]
    fn places_inside(&self, mut column: u32, most: u32) -> u32 {
        let mut number = 0u32;
        while number < most && self.window.has_columns(column) {
            column = column.wrapping_add(self.window.stride_width);
            number = number.wrapping_add(1);
        }
        number
    }

    /// Copies the inputs of one place side by side; of `inside` neighboring ones when it is not 0, whose columns are
    /// all in the input.
    #[inline(always)]
    fn gather_places(
        &self,
        row: u32,
        column: u32,
        inside: u32,
        image: &[i8],
        padding: &[i8],
        patches: &mut [i8],
    ) {
        let window = self.window;
        let places = inside.max(1) as usize;
        let Some(patches) = patches.get_mut(..places.wrapping_mul(self.depth)) else { return };
        if window.dilation_height != 1 || window.dilation_width != 1 {
            let mut place = Place { row, column, channel: 0 };
            for patch in patches.whole_chunks_mut(self.depth) {
                self.gather(place, image, padding, patch);
                place.column = place.column.wrapping_add(window.stride_width);
            }
            return;
        }
        let of_columns = |columns: usize| columns.wrapping_mul(self.in_channels);
        let (above, rows) = clip(row, window.height, window.in_height);
        let (before, columns) = clip(column, window.width, window.in_width);
        let line_len = of_columns(window.in_width as usize);
        let run_len = of_columns(window.width as usize);
        let mut left = of_columns(columns);
        if rows.wrapping_mul(left) < self.depth {
            patches.fill(padding.first().copied().unwrap_or(0));
        }
        let from = offset(row).wrapping_add(above).wrapping_mul(line_len);
        let mut from = from.wrapping_add(of_columns(offset(column).wrapping_add(before)));
        let mut to = above.wrapping_mul(run_len).wrapping_add(of_columns(before));
        while left > 0 {
            let len = left.min(LANES);
            let rectangles = Rectangles {
                places,
                rows,
                len,
                places_apart: [of_columns(window.stride_width as usize), self.depth],
                rows_apart: [line_len, run_len],
            };
            let patches = patches.get_mut(to..).unwrap_or(&mut []);
            helium::gather(&rectangles, image.get(from..).unwrap_or(&[]), patches);
            (from, to) = (from.wrapping_add(len), to.wrapping_add(len));
            left = left.wrapping_sub(len);
        }
    }

    /// The outputs of so many patches; gives what is left of `output`.
    #[inline(always)]
    fn of_patches<'o>(
        &self,
        patches: &[i8],
        filled: usize,
        layer: &Layer<'_>,
        output: &'o mut [i8],
    ) -> &'o mut [i8] {
        let channels = self.out_channels;
        let all = channels.wrapping_mul(filled);
        let (out, later) = output.split_at_mut_checked(all).unwrap_or_default();
        let Layer { weights, table, zero_point, .. } = *layer;
        helium::rows(patches, self.depth, weights, table, out, channels, zero_point);
        later
    }
}
