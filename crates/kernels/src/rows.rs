//! Going through the rows of images whose input and output may lie over each other.
//!
//! A window needs a few rows of the input for each row of the output. Where the output lies far enough below
//! the input in one block of memory, rows from the first to the last never overwrite what is read later; where
//! it lies far enough above, rows from the last to the first do not. The block is then cut between the row that
//! is written and those that are read, so that no memory is borrowed twice.

use crate::Window;
use core::ops::Range;

/// Where the images of a call are.
#[derive(Debug)]
pub enum Images<'a, T> {
    /// Any number of images, input and output each in memory of its own.
    Apart {
        /// The input.
        input: &'a [T],
        /// The output.
        output: &'a mut [T],
    },
    /// One image; the output overwrites what has been read.
    Overlapping {
        /// The memory both lie in.
        memory: &'a mut [T],
        /// Where the input is.
        input: Range<usize>,
        /// Where the output is.
        output: Range<usize>,
    },
}

/// How far apart input and output must start at least to be [`Images::Overlapping`].
#[cfg(any(test, feature = "reflect"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distances {
    /// Bytes from the output's start to the input's, where the output is below.
    pub input_above: u64,
    /// Bytes from the input's start to the output's, where the input is below.
    pub output_above: u64,
}

/// The elements of a row of the input and of a row of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    input: usize,
    output: usize,
}

impl Lines {
    /// Of images with so many channels.
    #[inline(always)]
    pub(crate) fn new(window: &Window, in_channels: usize, out_channels: usize) -> Self {
        Self {
            input: (window.in_width as usize).wrapping_mul(in_channels),
            output: (window.out_width as usize).wrapping_mul(out_channels),
        }
    }

    /// The distances that a window needs in one image, an input and an output of so many bytes; `None` where
    /// they are not.
    #[cfg(any(test, feature = "reflect"))]
    pub(crate) fn distances<T>(self, window: &Window, sizes: [u64; 2]) -> Option<Distances> {
        let bytes = |rows: u32, line: usize| {
            let line = u64::try_from(line).ok()?.checked_mul(size_of::<T>() as u64)?;
            line.checked_mul(rows.into())
        };
        // Which of both starts first decides the direction: they never start together.
        let mut output_above = size_of::<T>() as u64;
        let mut input_above = 0u64;
        let mut row = 0u32.wrapping_sub(window.pad_top);
        for written in 0..window.out_height {
            let read = window.rows_read(row);
            let above = bytes(written.checked_add(1)?, self.output)?;
            input_above = input_above.max(above.saturating_sub(bytes(read.start, self.input)?));
            let below = bytes(written, self.output)?;
            output_above = output_above.max(bytes(read.end, self.input)?.saturating_sub(below));
            row = row.wrapping_add(window.stride_height);
        }
        let image = [bytes(window.in_height, self.input)?, bytes(window.out_height, self.output)?];
        (image == sizes).then_some(Distances { input_above, output_above })
    }
}

/// Rows of the input, from some row of it on.
#[derive(Debug)]
pub(crate) struct Image<'a, T> {
    /// The rows that are there.
    pub values: &'a [T],
    /// How many rows the input has from there on; beyond them is padding.
    pub height: u32,
}

impl<T> Clone for Image<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Image<'_, T> {}

/// A row of the output.
#[derive(Debug)]
pub(crate) struct Row<'a, T> {
    /// What is read for it.
    pub image: Image<'a, T>,
    /// The first row of its window there; it has wrapped where it is in the padding above.
    pub first: u32,
    /// Where it is written.
    pub output: &'a mut [T],
}

/// Goes through the rows of the output.
#[derive(Debug)]
pub(crate) struct Rows<'a, T> {
    images: Images<'a, T>,
    window: &'a Window,
    lines: Lines,
    /// The image that is read, where it is apart.
    image: &'a [T],
    /// Where the row is written, where it is not.
    output_at: usize,
    /// The first row of the next window.
    first: u32,
    /// Rows of the output that are left in this image.
    left: u32,
}

impl<'a, T> Rows<'a, T> {
    #[inline(always)]
    pub(crate) fn new(images: Images<'a, T>, window: &'a Window, lines: Lines) -> Self {
        let mut rows = Self {
            images,
            window,
            lines,
            image: &[],
            output_at: 0,
            first: 0u32.wrapping_sub(window.pad_top),
            left: 0,
        };
        if let Images::Overlapping { input, output, .. } = &rows.images {
            (rows.output_at, rows.left) = (output.start, window.out_height);
            if output.start > input.start {
                let last = window.out_height.wrapping_sub(1);
                rows.first = rows.first.wrapping_add(last.wrapping_mul(window.stride_height));
                rows.output_at = output.end.wrapping_sub(lines.output);
            }
        }
        rows
    }

    /// The next row; `None` when none is left, or when the memory of one is not there.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Row<'_, T>> {
        let (window, lines) = (self.window, self.lines);
        match &mut self.images {
            Images::Apart { input, output } => {
                if self.left == 0 {
                    let image_len = (window.in_height as usize).wrapping_mul(lines.input);
                    (self.image, *input) = input.split_at_checked(image_len)?;
                    self.first = 0u32.wrapping_sub(window.pad_top);
                    self.left = window.out_height;
                }
                self.left = self.left.checked_sub(1)?;
                let (row, later) = core::mem::take(output).split_at_mut_checked(lines.output)?;
                *output = later;
                if row.is_empty() {
                    return None;
                }
                let image = Image { values: self.image, height: window.in_height };
                let first = self.first;
                self.first = first.wrapping_add(window.stride_height);
                Some(Row { image, first, output: row })
            }
            Images::Overlapping { memory, input, output } => {
                self.left = self.left.checked_sub(1)?;
                let (first, at) = (self.first, self.output_at);
                if output.start > input.start {
                    self.first = first.wrapping_sub(window.stride_height);
                    self.output_at = at.wrapping_sub(lines.output);
                    let (below, above) = memory.split_at_mut_checked(at)?;
                    let values = below.get(input.start..)?;
                    let image = Image { values, height: window.in_height };
                    return Some(Row { image, first, output: above.get_mut(..lines.output)? });
                }
                self.first = first.wrapping_add(window.stride_height);
                self.output_at = at.wrapping_add(lines.output);
                let (below, above) = memory.split_at_mut_checked(self.output_at)?;
                let skipped = window.rows_read(first).start;
                let start = input.start.wrapping_add((skipped as usize).wrapping_mul(lines.input));
                let values = above.get(start.checked_sub(self.output_at)?..)?;
                let image = Image { values, height: window.in_height.wrapping_sub(skipped) };
                let first = first.wrapping_sub(skipped);
                Some(Row { image, first, output: below.get_mut(at..)? })
            }
        }
    }
}

/// Goes through an input and an output that are as many rows, each row of the output made of that of the input.
#[derive(Debug)]
pub(crate) struct Vectors<'a, T> {
    images: Images<'a, T>,
    input_len: usize,
    output_len: usize,
}

impl<'a, T> Vectors<'a, T> {
    /// Rows of so many elements.
    #[inline(always)]
    pub(crate) fn new(images: Images<'a, T>, input_len: u32, output_len: u32) -> Self {
        Self { images, input_len: input_len as usize, output_len: output_len as usize }
    }

    /// The distances that such rows need in an input and an output of so many bytes; `None` where they are not
    /// as many rows.
    #[cfg(any(test, feature = "reflect"))]
    pub(crate) fn distances(lens: [u32; 2], sizes: [u64; 2]) -> Option<Distances> {
        let [input, output] = lens.map(|len| u64::from(len).saturating_mul(size_of::<T>() as u64));
        let rows = sizes[0].checked_div(input)?;
        if [rows.checked_mul(input)?, rows.checked_mul(output)?] != sizes {
            return None;
        }
        let last = rows.checked_sub(1)?;
        // All of a row that is written is below a row that is read, first to last: what the first row needs or
        // the last one.
        let above = |written: u64, read: u64| {
            let behind = last.checked_mul(written)?.checked_add(written)?;
            Some(written.max(behind.saturating_sub(last.checked_mul(read)?)))
        };
        Some(Distances { input_above: above(output, input)?, output_above: above(input, output)? })
    }

    /// The next row of the input and of the output; `None` when none is left, or the memory of one is not there.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(&[T], &mut [T])> {
        let (input_len, output_len) = (self.input_len, self.output_len);
        if output_len == 0 {
            return None;
        }
        match &mut self.images {
            Images::Apart { input, output } => {
                let (from, later) = input.split_at_checked(input_len)?;
                *input = later;
                let (to, later) = core::mem::take(output).split_at_mut_checked(output_len)?;
                *output = later;
                Some((from, to))
            }
            Images::Overlapping { memory, input, output } => {
                if output.start >= output.end {
                    return None;
                }
                if output.start > input.start {
                    input.end = input.end.checked_sub(input_len)?;
                    output.end = output.end.checked_sub(output_len)?;
                    let (below, above) = memory.split_at_mut_checked(output.end)?;
                    let from = below.get(input.end..)?.get(..input_len)?;
                    return Some((from, above.get_mut(..output_len)?));
                }
                let (from, to) = (input.start, output.start);
                input.start = from.checked_add(input_len)?;
                output.start = to.checked_add(output_len)?;
                let (below, above) = memory.split_at_mut_checked(output.start)?;
                let from = above.get(from.checked_sub(output.start)?..)?.get(..input_len)?;
                Some((from, below.get_mut(to..)?))
            }
        }
    }
}
