//! Convolution by [`crate::arch::helium`]: three output places at once.

use super::{Place, Shape};
use crate::Window;
use crate::arch::helium::{self, LANES, Layer, Rectangles, Runs3};
use crate::chunks::Chunks;
use crate::rows::{Block, Blocks, Image, Images};
use crate::window::{clip, offset};

/// Inputs that are gathered, of one place or of three.
const PATCHES: usize = 240;

/// Rows of a window whose inputs are taken where they lie.
const ROWS: usize = 5;

/// Runs in so many rows, what is in the input and one border, and one that is empty.
const RUNS: usize = 2 * ROWS + 1;

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
    images i8, (weights: i8, channels: i32, padding: i8)
    distances |p, sizes| crate::rows::Lines::new(&p.window, p.in_channels as usize, p.out_channels as usize)
        .distances::<i8>(&p.window, sizes)
}

/// Whether inputs are taken where they lie: in runs of whole vectors.
#[inline(always)]
fn lies_in_rows(window: &Window, in_channels: u32, out_channels: u32) -> bool {
    out_channels as usize >= helium::CHANNELS
        && (in_channels as usize).is_multiple_of(LANES)
        && window.dilation_width == 1
        && window.height as usize <= ROWS
        && window.width <= window.in_width
}

/// Whether [`Conv2dRowsI8`] takes inputs of so many channels: where they lie, or after they have been gathered.
#[inline(always)]
pub fn takes_rows(window: &Window, in_channels: u32, out_channels: u32) -> bool {
    let taps = u64::from(window.height).saturating_mul(u64::from(window.width));
    let depth = taps.saturating_mul(u64::from(in_channels));
    lies_in_rows(window, in_channels, out_channels) || depth <= PATCHES as u64
}

#[inline(always)]
fn conv2d_rows_i8(
    p: &Conv2dRowsI8,
    images: Images<'_, i8>,
    weights: &[i8],
    channels: &[i32],
    padding: &[i8],
) {
    let (words, _) = channels.as_chunks();
    let (table, _) = words.as_chunks();
    let shape = Shape::new(&p.window, p.in_channels, p.out_channels, 1);
    let channels = shape.out_channels;
    let layer = Layer { weights, table, channels, zero_point: p.output_zero_point };
    let in_place = lies_in_rows(&p.window, p.in_channels, p.out_channels);
    let mut blocks = Blocks::new(images, &p.window, shape.lines());
    while let Some(mut block) = blocks.next(&p.window, shape.lines()) {
        if in_place {
            shape.convolve_in_place(&mut block, &layer, padding);
        } else {
            shape.convolve_patches(&mut block, &layer, padding);
        }
        helium::narrow(block.output, p.min, p.max);
    }
}

/// Where the window of a place begins, wrapped when it is in the padding.
#[inline(always)]
fn first_of(place: u32, stride: u32, padding: u32) -> u32 {
    place.wrapping_mul(stride).wrapping_sub(padding)
}

impl Shape<'_> {
    /// Takes inputs where they lie: three neighboring places of a row at once, where all columns are in the input;
    /// of the other columns three places of neighboring rows.
    #[inline(never)]
    fn convolve_in_place<'v>(
        &self,
        block: &mut Block<'v, i8>,
        layer: &Layer<'_>,
        padding: &'v [i8],
    ) {
        let window = self.window;
        let image = block.image;
        let row_len = self.lines().output;
        let channels = self.out_channels;
        let before = window.places_before();
        let column = first_of(before, window.stride_width, window.pad_left);
        let inside = window.places_inside(before);
        let threes = inside / 3;
        let behind = before.wrapping_add(threes.wrapping_mul(3));
        let three_steps = self.of_columns(window.stride_width).wrapping_mul(3);
        let mut runs = Runs3::EMPTY;
        let mut row = block.first;
        for out_row in block.output.whole_chunks_mut(row_len) {
            let places = self.of_columns(window.stride_width);
            self.find_three(row, column, places, image, padding, &mut runs);
            let first = (before as usize).wrapping_mul(channels);
            let out = out_row.get_mut(first..).unwrap_or(&mut []);
            let steps = [three_steps, channels.wrapping_mul(3)];
            helium::threes(&mut runs, layer, out, [threes as usize, channels], steps);
            row = row.wrapping_add(window.stride_height);
        }
        for place in (0..before).chain(behind..window.out_width) {
            self.convolve_column(place, block, layer, padding, &mut runs);
        }
    }

    /// One column of outputs.
    #[inline(always)]
    fn convolve_column<'v>(
        &self,
        place: u32,
        block: &mut Block<'v, i8>,
        layer: &Layer<'_>,
        padding: &'v [i8],
        runs: &mut Runs3<'v, RUNS>,
    ) {
        let window = self.window;
        let image = block.image;
        let row_len = self.lines().output;
        let two_rows = window.stride_height.wrapping_mul(2);
        let column = first_of(place, window.stride_width, window.pad_left);
        let line_len = self.of_columns(window.in_width);
        let mut row = block.first;
        let mut left = block.output.get_mut((place as usize).wrapping_mul(self.out_channels)..);
        let mut places = block.rows;
        while let Some(out) = left.take()
            && places > 0
        {
            let has_rows = |row: u32| window.has_rows(row, image.height);
            let together = places >= 3 && has_rows(row) && has_rows(row.wrapping_add(two_rows));
            // A single place is computed three times.
            let (apart, step, number) = if together {
                (row_len, line_len.wrapping_mul(window.stride_height as usize), 3)
            } else {
                (0, 0, 1)
            };
            self.find_three(row, column, step, image, padding, runs);
            helium::threes(runs, layer, out, [1, apart], [0; 2]);
            row = row.wrapping_add(window.stride_height.wrapping_mul(number));
            places = places.wrapping_sub(number);
            left = out.get_mut(row_len.wrapping_mul(number as usize)..);
        }
    }

    /// Finds the runs of three places that begin `step` elements apart, and whose windows are in the input alike.
    #[inline(never)]
    fn find_three<'v>(
        &self,
        mut row: u32,
        column: u32,
        step: usize,
        image: Image<'v, i8>,
        padding: &'v [i8],
        runs: &mut Runs3<'v, RUNS>,
    ) {
        let window = self.window;
        let (before, inside) = clip(column, window.width, window.in_width);
        let behind = window.width.wrapping_sub(before).wrapping_sub(inside);
        let line_len = self.of_columns(window.in_width);
        let all = self.of_columns(window.width);
        let start = self.of_columns(column.wrapping_add(before));
        let [before, inside, behind] = [before, inside, behind].map(|n| self.of_columns(n));
        runs.clear();
        for _ in 0..window.height {
            if row < image.height {
                let at = (row as usize).wrapping_mul(line_len).wrapping_add(start);
                runs.push(padding, 0, before);
                runs.push(image.values.get(at..).unwrap_or(&[]), step, inside);
                runs.push(padding, 0, behind);
            } else {
                runs.push(padding, 0, all);
            }
            row = row.wrapping_add(window.dilation_height);
        }
    }

    /// Elements of so many columns of the input.
    #[inline(always)]
    fn of_columns(&self, columns: u32) -> usize {
        (columns as usize).wrapping_mul(self.in_channels)
    }

    /// Gathers inputs first.
    #[inline(never)]
    fn convolve_patches(&self, block: &mut Block<'_, i8>, layer: &Layer<'_>, padding: &[i8]) {
        let window = self.window;
        let image = block.image;
        let few = self.depth.wrapping_mul(3) > PATCHES || self.out_channels < helium::CHANNELS;
        let together: u32 = if few { 1 } else { 3 };
        let before = window.places_before();
        let inside = window.places_inside(before);
        let behind = before.wrapping_add(inside);
        let mut patches = [0; PATCHES];
            let mut left = &mut *block.output;
            let mut filled = 0u32;
            let mut row = block.first;
            for _ in 0..block.rows {
                let mut place = 0u32;
                while place < window.out_width {
                    if filled == 0 && together == 3 && place >= before && place < behind {
                        let threes = behind.wrapping_sub(place) / 3;
                        let column = first_of(place, window.stride_width, window.pad_left);
                        let first = [row, column];
                        if self.gather_threes(
                            first, threes, image, padding, layer, &mut patches, left,
                        ) {
                            let done = threes.wrapping_mul(3);
                            let all = self.out_channels.wrapping_mul(done as usize);
                            left = left.get_mut(all..).unwrap_or(&mut []);
                            place = place.wrapping_add(done);
                            continue;
                        }
                    }
                    // Several at once where all their columns are in the input.
                    let several = place >= before && place < behind;
                    let number = if several {
                        behind.wrapping_sub(place).min(together.wrapping_sub(filled))
                    } else {
                        1
                    };
                    let column = first_of(place, window.stride_width, window.pad_left);
                    let at = (filled as usize).wrapping_mul(self.depth);
                    let patch = patches.get_mut(at..).unwrap_or(&mut []);
                    self.gather_places([row, column], number, image, padding, patch);
                    filled = filled.wrapping_add(number);
                    place = place.wrapping_add(number);
                    if filled == together {
                        left = self.of_patches(&patches, filled, layer, left);
                        filled = 0;
                    }
                }
                row = row.wrapping_add(window.stride_height);
            }
            self.of_patches(&patches, filled, layer, left);
    }

    /// Gathers three places at once and computes their outputs, where a row of the window is one vector; says whether
    /// it did.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "the operands of the kernel and what it keeps")]
    fn gather_threes(
        &self,
        [row, column]: [u32; 2],
        threes: u32,
        image: Image<'_, i8>,
        padding: &[i8],
        layer: &Layer<'_>,
        patches: &mut [i8],
        output: &mut [i8],
    ) -> bool {
        let window = self.window;
        let len = self.of_columns(window.width);
        let no_gaps = window.dilation_height == 1 && window.dilation_width == 1;
        let (above, rows) = clip(row, window.height, image.height);
        let whole_groups = self.out_channels.is_multiple_of(helium::CHANNELS);
        if !whole_groups || threes == 0 || rows == 0 || !no_gaps || len > LANES {
            return false;
        }
        if rows < window.height {
            // What is copied does not change it.
            patches.fill(padding.first().copied().unwrap_or(0));
        }
        let line_len = self.of_columns(window.in_width);
        let from = offset(row.wrapping_add(above)).wrapping_mul(line_len);
        let from = from.wrapping_add(self.of_columns(column));
        let rectangles = Rectangles {
            places: 3,
            rows: rows as usize,
            len,
            places_apart: [self.of_columns(window.stride_width), self.depth],
            rows_apart: [line_len, len],
        };
        let image = image.values.get(from..).unwrap_or(&[]);
        let skipped = (above as usize).wrapping_mul(len);
        helium::gather_threes(&rectangles, image, patches, skipped, layer, output, threes as usize);
        true
    }

    /// Copies the inputs of neighboring places, each side by side; all columns of several places are in the input.
    #[inline(never)]
    fn gather_places(
        &self,
        [row, column]: [u32; 2],
        number: u32,
        image: Image<'_, i8>,
        padding: &[i8],
        patches: &mut [i8],
    ) {
        let window = self.window;
        let places = number as usize;
        let Some(patches) = patches.get_mut(..places.wrapping_mul(self.depth)) else { return };
        if window.dilation_height != 1 || window.dilation_width != 1 {
            let mut place = Place { row, column, channel: 0 };
            for patch in patches.whole_chunks_mut(self.depth) {
                self.gather(place, image, padding, patch);
                place.column = place.column.wrapping_add(window.stride_width);
            }
            return;
        }
        let (above, rows) = clip(row, window.height, image.height);
        let (before, columns) = clip(column, window.width, window.in_width);
        let line_len = self.of_columns(window.in_width);
        let run_len = self.of_columns(window.width);
        let mut left = self.of_columns(columns);
        if rows < window.height || columns < window.width {
            patches.fill(padding.first().copied().unwrap_or(0));
        }
        let from = offset(row.wrapping_add(above)).wrapping_mul(line_len);
        let mut from = from.wrapping_add(self.of_columns(column.wrapping_add(before)));
        let to = (above as usize).wrapping_mul(run_len);
        let mut to = to.wrapping_add(self.of_columns(before));
        let mut rectangles = Rectangles {
            places,
            rows: rows as usize,
            len: 0,
            places_apart: [self.of_columns(window.stride_width), self.depth],
            rows_apart: [line_len, run_len],
        };
        while left > 0 {
            rectangles.len = left.min(LANES);
            let patches = patches.get_mut(to..).unwrap_or(&mut []);
            helium::gather(&rectangles, image.values.get(from..).unwrap_or(&[]), patches);
            from = from.wrapping_add(rectangles.len);
            to = to.wrapping_add(rectangles.len);
            left = left.wrapping_sub(rectangles.len);
        }
    }

    /// The outputs of so many patches; gives what is left of `output`.
    #[inline(never)]
    fn of_patches<'o>(
        &self,
        patches: &[i8],
        filled: u32,
        layer: &Layer<'_>,
        output: &'o mut [i8],
    ) -> &'o mut [i8] {
        let all = self.out_channels.wrapping_mul(filled as usize);
        let (out, later) = output.split_at_mut_checked(all).unwrap_or_default();
        helium::rows(patches, self.depth, layer, out);
        later
    }
}
