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
    pub input: usize,
    pub output: usize,
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
            let read = window.rows_read(row, window.in_height);
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

/// Neighboring rows of the output: all of an image where it lies apart from the input, else one.
#[derive(Debug)]
pub(crate) struct Block<'a, T> {
    /// What is read for them.
    pub image: Image<'a, T>,
    /// The first row of the first window there; it has wrapped where it is in the padding above.
    pub first: u32,
    /// How many rows.
    pub rows: u32,
    /// Where they are written.
    pub output: &'a mut [T],
}

/// Goes through the output.
#[derive(Debug)]
pub(crate) struct Blocks<'a, T> {
    images: Images<'a, T>,
    /// Where a row is written, where input and output overlap.
    output_at: usize,
    /// The first row of its window.
    first: u32,
    /// Rows that are left.
    left: u32,
}

impl<'a, T> Blocks<'a, T> {
    #[inline(always)]
    pub(crate) fn new(images: Images<'a, T>, window: &Window, lines: Lines) -> Self {
        let mut first = 0u32.wrapping_sub(window.pad_top);
        let mut at = 0;
        if let Images::Overlapping { input, output, .. } = &images {
            at = output.start;
            if output.start > input.start {
                let last = window.out_height.wrapping_sub(1);
                first = first.wrapping_add(last.wrapping_mul(window.stride_height));
                at = output.end.wrapping_sub(lines.output);
            }
        }
        Self { images, output_at: at, first, left: window.out_height }
    }

    /// The next rows, of the window and the lines that this was made for; `None` when none are left, or when the
    /// memory of some is not there.
    #[inline(always)]
    pub(crate) fn next(&mut self, window: &Window, lines: Lines) -> Option<Block<'_, T>> {
        match &mut self.images {
            Images::Apart { input, output } => {
                let image_len = (window.in_height as usize).wrapping_mul(lines.input);
                let output_len = (window.out_height as usize).wrapping_mul(lines.output);
                if output_len == 0 {
                    return None;
                }
                let (rows, later) = core::mem::take(output).split_at_mut_checked(output_len)?;
                *output = later;
                let (values, later) = input.split_at_checked(image_len)?;
                *input = later;
                let image = Image { values, height: window.in_height };
                Some(Block { image, first: self.first, rows: window.out_height, output: rows })
            }
            Images::Overlapping { memory, input, output } => {
                self.left = self.left.checked_sub(1)?;
                let (first, at) = (self.first, self.output_at);
                if output.start > input.start {
                    self.first = first.wrapping_sub(window.stride_height);
                    self.output_at = at.wrapping_sub(lines.output);
                    let (below, above) = memory.split_at_mut_checked(at)?;
                    let values = below.get(input.start..)?;
                    // What lies behind the rows that are read is overwritten by now.
                    let height = window.rows_read(first, window.in_height).end;
                    let image = Image { values, height };
                    let output = above.get_mut(..lines.output)?;
                    return Some(Block { image, first, rows: 1, output });
                }
                self.first = first.wrapping_add(window.stride_height);
                self.output_at = at.wrapping_add(lines.output);
                let (below, above) = memory.split_at_mut_checked(self.output_at)?;
                let skipped = window.rows_read(first, window.in_height).start;
                let start = input.start.wrapping_add((skipped as usize).wrapping_mul(lines.input));
                let values = above.get(start.checked_sub(self.output_at)?..)?;
                let image = Image { values, height: window.in_height.wrapping_sub(skipped) };
                let first = first.wrapping_sub(skipped);
                Some(Block { image, first, rows: 1, output: below.get_mut(at..)? })
            }
        }
    }
}

/// Goes through an input and an output that are as many rows, each row of the output made of that of the input:
/// all at once where they lie apart, else `N` by `N`, and fewer in the end.
#[derive(Debug)]
pub(crate) struct Vectors<'a, T, const N: usize> {
    images: Images<'a, T>,
    input_len: usize,
    output_len: usize,
}

impl<'a, T, const N: usize> Vectors<'a, T, N> {
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
        if rows == 0 || [rows.checked_mul(input)?, rows.checked_mul(output)?] != sizes {
            return None;
        }
        let at_once = rows.min(N as u64);
        let last = rows.checked_sub(at_once)?;
        // All of what is written at once is on this side of what is read at once and later: what the first rows
        // need or the last ones, whichever way the distance grows.
        let beside = |written: u64, read: u64| {
            let end = |first: u64| first.checked_add(at_once)?.checked_mul(written);
            let first = end(0)?;
            Some(first.max(end(last)?.saturating_sub(last.checked_mul(read)?)))
        };
        Some(Distances {
            input_above: beside(output, input)?,
            output_above: beside(input, output)?,
        })
    }

    /// The next rows of the input and of the output; `None` when none are left, or the memory of one is not there.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(&[T], &mut [T])> {
        let (input_len, output_len) = (self.input_len, self.output_len);
        if output_len == 0 {
            return None;
        }
        match &mut self.images {
            Images::Apart { input, output } => {
                if output.is_empty() {
                    return None;
                }
                Some((core::mem::take(input), core::mem::take(output)))
            }
            Images::Overlapping { memory, input, output } => {
                let left = output.end.checked_sub(output.start)?;
                if left == 0 {
                    return None;
                }
                let (mut from_len, mut to_len) =
                    (input_len.wrapping_mul(N), output_len.wrapping_mul(N));
                if to_len > left {
                    (from_len, to_len) = (input.end.checked_sub(input.start)?, left);
                }
                if output.start > input.start {
                    input.end = input.end.checked_sub(from_len)?;
                    output.end = output.end.checked_sub(to_len)?;
                    let (below, above) = memory.split_at_mut_checked(output.end)?;
                    let from = below.get(input.end..)?.get(..from_len)?;
                    return Some((from, above.get_mut(..to_len)?));
                }
                let (from, to) = (input.start, output.start);
                input.start = from.checked_add(from_len)?;
                output.start = to.checked_add(to_len)?;
                let (below, above) = memory.split_at_mut_checked(output.start)?;
                let from = above.get(from.checked_sub(output.start)?..)?.get(..from_len)?;
                Some((from, below.get_mut(to..)?))
            }
        }
    }
}
