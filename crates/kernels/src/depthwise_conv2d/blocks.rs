//! Depthwise convolution by [`crate::arch::helium::depthwise`]: sixteen channels at once.

use super::{Place, Shape};
use crate::Window;
use crate::arch::helium;
use crate::arch::helium::depthwise::{self, Image, Layer, Places, Windows};
use crate::arch::taps::Taps;
use crate::chunks::Chunks;

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
    operands (
        input input: i8,
        constant weights: i8,
        constant words: i32,
        constant padding: i8,
        output output: i8,
    )
}

#[inline(always)]
fn depthwise_conv2d_blocks_i8(
    p: &DepthwiseConv2dBlocksI8,
    input: &[i8],
    weights: &[i8],
    words: &[i32],
    padding: &[i8],
    output: &mut [i8],
) {
    let (words, _) = words.as_chunks();
    let (table, _) = words.as_chunks();
    let layer = Layer { weights, table, zero_point: p.output_zero_point };
    let window = lying(p.window);
    Shape { window: &window, channels: (p.channels as usize).max(1), padding }
        .convolve_blocks(input, &layer, output);
    helium::narrow(output, p.min, p.max);
}

/// A column of an image of one column is the same as a row of one of one row, whose places are found at once.
#[inline(always)]
fn lying(window: Window) -> Window {
    let of_one = [window.in_width, window.out_width, window.width] == [1; 3];
    if !of_one || window.pad_left != 0 {
        return window;
    }
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

impl<'a> Shape<'a, i8> {
    #[inline(always)]
    fn convolve_blocks(&self, mut input: &'a [i8], layer: &Layer<'_>, output: &mut [i8]) {
        let window = self.window;
        let image_len = (window.in_height as usize)
            .wrapping_mul(window.in_width as usize)
            .wrapping_mul(self.channels);
        let row_len = (window.out_width as usize).wrapping_mul(self.channels);
        let out_len = (window.out_height as usize).wrapping_mul(row_len);
        for out_image in output.whole_chunks_mut(out_len.max(1)) {
            let Some((image, later)) = input.split_at_checked(image_len) else { return };
            input = later;
            if window.height == 3 && window.width == 3 {
                self.convolve_nine(image, row_len, layer, out_image);
            } else {
                self.convolve_taps(image, row_len, layer, out_image);
            }
        }
    }

    /// Windows of nine taps.
    #[inline(never)]
    fn convolve_nine(&self, image: &[i8], row_len: usize, layer: &Layer<'_>, output: &mut [i8]) {
        let window = self.window;
        let before = self.places_before();
        let inside = self.places_inside(before);
        let mut row = 0u32.wrapping_sub(window.pad_top);
        for mut left in output.whole_chunks_mut(row_len.max(1)) {
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
    fn convolve_taps(
        &self,
        image: &'a [i8],
        row_len: usize,
        layer: &Layer<'_>,
        output: &mut [i8],
    ) {
        let window = self.window;
        let before = self.places_before();
        let inside = self.places_inside(before);
        let step = (window.stride_width as usize).wrapping_mul(self.channels);
        let apart = (window.dilation_width as usize).wrapping_mul(self.channels);
        let line = window.height == 1;
        let mut row = 0u32.wrapping_sub(window.pad_top);
        for mut left in output.whole_chunks_mut(row_len.max(1)) {
            let rows_inside = window.has_rows(row);
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
                    let values = image.get(at..).unwrap_or(&[]);
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
    fn few_taps(&self, place: Place<'a, i8>, places: Places, layer: &Layer<'_>, output: &mut [i8]) {
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
        image: &[i8],
        first: [u32; 2],
        number: u32,
        layer: &Layer<'_>,
        output: &mut [i8],
    ) {
        let window = self.window;
        let image = Image {
            values: image,
            height: window.in_height,
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

    /// How many places of a row begin before the input.
    #[inline(always)]
    fn places_before(&self) -> u32 {
        let window = self.window;
        let mut number = 0u32;
        let mut first = 0u32;
        while number < window.out_width && first < window.pad_left {
            first = first.wrapping_add(window.stride_width);
            number = number.wrapping_add(1);
        }
        number
    }

    /// How many places from this one on have all their columns in the input.
    #[inline(always)]
    fn places_inside(&self, first: u32) -> u32 {
        let window = self.window;
        let mut number = 0u32;
        let mut column = self.column(first);
        while first.wrapping_add(number) < window.out_width && window.has_columns(column) {
            column = column.wrapping_add(window.stride_width);
            number = number.wrapping_add(1);
        }
        number
    }
}
