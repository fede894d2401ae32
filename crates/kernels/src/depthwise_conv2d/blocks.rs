//! Depthwise convolution by [`crate::arch::helium::depthwise`]: sixteen channels at once.

use super::{Place, Shape};
use crate::Window;
use crate::arch::helium;
use crate::arch::helium::depthwise::{self, Layer, Places, Windows};
use crate::arch::taps::Taps;
use crate::chunks::Chunks;
use crate::rows::{Block, Blocks, Image, Images, Lines};

kernel! {
    /// As [`super::DepthwiseConv2dI8`] for at most [`crate::arch::taps::TAPS`] taps; weights and table as
    /// [`crate::arch::helium::depthwise`] takes them, repeated in a block where its channels are so often there.
    depthwise_conv2d_blocks_i8 version 1
    params DepthwiseConv2dBlocksI8 {
        /// How the window slides.
        window: Window,
        /// Channels of input and output.
        channels: u32,
        /// Zero point of the output.
        output_zero_point: i32,
        /// Least output.
        min: i32,
        /// Greatest output.
        max: i32,
    }
    images i8, (weights: i8, words: i32, padding: i8)
    distances |p, sizes| Lines::new(&p.window, p.channels as usize, p.channels as usize)
        .distances::<i8>(&p.window, sizes)
}

#[inline(always)]
fn depthwise_conv2d_blocks_i8(
    p: &DepthwiseConv2dBlocksI8,
    images: Images<'_, i8>,
    weights: &[i8],
    words: &[i32],
    padding: &[i8],
) {
    let (words, _) = words.as_chunks();
    let (table, _) = words.as_chunks();
    let layer = Layer { weights, table, zero_point: p.output_zero_point };
    let channels = (p.channels as usize).max(1);
    let lines = Lines::new(&p.window, channels, channels);
    let mut blocks = Blocks::new(images, &p.window, lines);
    while let Some(mut block) = blocks.next(&p.window, lines) {
        let window = lying(p.window, &mut block);
        let shape = Shape { window: &window, channels, padding };
        if window.height == 3 && window.width == 3 {
            shape.convolve_nine(&mut block, &layer);
        } else {
            shape.convolve_taps(&mut block, &layer);
        }
        helium::narrow(block.output, p.min, p.max);
    }
}

/// A column of an image of one column is the same as a row of one of one row, whose places are found at once.
#[inline(always)]
fn lying<T>(window: Window, block: &mut Block<'_, T>) -> Window {
    let of_one = [window.in_width, window.out_width, window.width] == [1; 3];
    let whole = [block.image.height, block.rows] == [window.in_height, window.out_height];
    let from_above = block.first == 0u32.wrapping_sub(window.pad_top);
    if !of_one || !whole || !from_above || window.pad_left != 0 {
        return window;
    }
    (block.image.height, block.rows, block.first) = (1, 1, 0);
    Window {
        in_height: 1,
        in_width: window.in_height,
        out_height: 1,
        out_width: window.out_height,
        height: 1,
        width: window.height,
        stride_height: 1,
        stride_width: window.stride_height,
        dilation_height: 1,
        dilation_width: window.dilation_height,
        pad_top: 0,
        pad_left: window.pad_top,
    }
}

impl Shape<'_, i8> {
    /// Elements of a row of outputs.
    #[inline(always)]
    fn row_len(&self) -> usize {
        Lines::new(self.window, self.channels, self.channels).output
    }

    /// Windows of nine taps.
    #[inline(never)]
    fn convolve_nine(&self, block: &mut Block<'_, i8>, layer: &Layer<'_>) {
        let image = block.image;
        let window = self.window;
        let before = window.places_before();
        let inside = window.places_inside(before);
        let mut row = block.first;
        for mut left in block.output.whole_chunks_mut(self.row_len()) {
            let mut place = 0u32;
            while place < window.out_width {
                let number = if place == before { inside.max(1) } else { 1 };
                let len = (number as usize).wrapping_mul(self.channels);
                let (now, later) = left.split_at_mut_checked(len).unwrap_or_default();
                left = later;
                self.nine(image, [row, self.column(place)], number, layer, now);
                place = place.wrapping_add(number);
            }
            row = row.wrapping_add(window.stride_height);
        }
    }

    /// Other windows.
    #[inline(never)]
    fn convolve_taps<'a>(&'a self, block: &mut Block<'a, i8>, layer: &Layer<'_>) {
        let image = block.image;
        let window = self.window;
        let before = window.places_before();
        let inside = window.places_inside(before);
        let step = (window.stride_width as usize).wrapping_mul(self.channels);
        let apart = (window.dilation_width as usize).wrapping_mul(self.channels);
        let line = window.height == 1;
        let mut row = block.first;
        for mut left in block.output.whole_chunks_mut(self.row_len()) {
            let rows_inside = window.has_rows(row, image.height);
            let mut place = 0u32;
            while place < window.out_width {
                let several = place == before && inside > 0 && rows_inside;
                let number = if several { inside } else { 1 };
                let len = (number as usize).wrapping_mul(self.channels);
                let (now, later) = left.split_at_mut_checked(len).unwrap_or_default();
                left = later;
                let column = self.column(place);
                let places = Places { number: number as usize, step, channels: self.channels };
                if several && line {
                    let at = (row as usize).wrapping_mul(window.in_width as usize);
                    let at = at.wrapping_add(column as usize).wrapping_mul(self.channels);
                    let values = image.values.get(at..).unwrap_or(&[]);
                    depthwise::line(values, window.width as usize, apart, places, layer, now);
                } else {
                    self.few_taps(Place { image, row, column }, places, layer, now);
                }
                place = place.wrapping_add(number);
            }
            row = row.wrapping_add(window.stride_height);
        }
    }

    /// Places whose taps are found one by one.
    #[inline(never)]
    fn few_taps<'a>(&'a self, place: Place<'a, i8>, places: Places, layer: &Layer<'_>, output: &mut [i8]) {
        let mut taps = Taps::new();
        self.find(place, 0, &mut taps);
        depthwise::outputs(&taps, places, layer, output);
    }

    /// Where the window of a place begins, wrapped when it is in the padding.
    #[inline(always)]
    fn column(&self, place: u32) -> u32 {
        place.wrapping_mul(self.window.stride_width).wrapping_sub(self.window.pad_left)
    }

    /// The channels of places with nine taps.
    #[inline(always)]
    fn nine(
        &self,
        image: Image<'_, i8>,
        first: [u32; 2],
        number: u32,
        layer: &Layer<'_>,
        output: &mut [i8],
    ) {
        let window = self.window;
        let image = depthwise::Image {
            values: image.values,
            height: image.height,
            width: window.in_width,
            channels: self.channels,
            padding: self.padding,
        };
        let windows = Windows {
            first,
            dilation: [window.dilation_height, window.dilation_width],
            number,
            stride: window.stride_width,
        };
        depthwise::three_by_three(&image, windows, layer, output);
    }
}
