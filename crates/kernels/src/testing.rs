//! What the property tests of several kernels share: seeded data, windows, plain sums.

use crate::Window;
use crate::arch::helium::depthwise::{BLOCK, ORDER};
use crate::arch::v6m::padded;
use crate::rows::Distances;
use core::ops::Range;
use proptest::prelude::*;
use std::vec::Vec;

/// Pseudo-random bytes (SplitMix64), extremes included.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<i8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            match z >> 60 {
                0 => i8::MIN,
                1 => i8::MAX,
                _ => z as i8,
            }
        })
        .collect()
}

/// Windows with any stride, dilation and padding, whole and not, down to windows that see nothing but
/// padding.
pub(crate) fn windows() -> impl Strategy<Value = Window> {
    let lengths = (1u32..7, 1u32..7, 1u32..5, 1u32..5);
    let steps = (1u32..4, 1u32..4, 1u32..3, 1u32..3);
    (lengths, steps, 0u32..4, 0u32..4, 1u32..6, 1u32..6).prop_map(
        |(
            (in_height, in_width, height, width),
            steps,
            pad_top,
            pad_left,
            out_height,
            out_width,
        )| Window {
            in_height,
            in_width,
            out_height,
            out_width,
            height,
            width,
            stride_height: steps.0,
            stride_width: steps.1,
            dilation_height: steps.2,
            dilation_width: steps.3,
            pad_top,
            pad_left,
        },
    )
}

/// Sums over the taps of one output place of an image (NHWC without N): `term` sees a tap's index and
/// the pixel under it, `None` in the padding.
pub(crate) fn naive_sum<T>(
    window: &Window,
    image: &[T],
    channels: usize,
    place: usize,
    mut term: impl FnMut(usize, Option<&[T]>) -> i32,
) -> i32 {
    let (out_row, out_column) =
        (place / window.out_width as usize, place % window.out_width as usize);
    let mut sum = 0i32;
    for tap in 0..(window.height * window.width) as usize {
        let (tap_row, tap_column) = (tap / window.width as usize, tap % window.width as usize);
        let row = (out_row as i64) * i64::from(window.stride_height)
            + (tap_row as i64) * i64::from(window.dilation_height)
            - i64::from(window.pad_top);
        let column = (out_column as i64) * i64::from(window.stride_width)
            + (tap_column as i64) * i64::from(window.dilation_width)
            - i64::from(window.pad_left);
        let inside = (0..i64::from(window.in_height)).contains(&row)
            && (0..i64::from(window.in_width)).contains(&column);
        let pixel = inside.then(|| {
            let start = (row as usize * window.in_width as usize + column as usize) * channels;
            &image[start..start + channels]
        });
        sum = sum.wrapping_add(term(tap, pixel));
    }
    sum
}

/// `MultiplyByQuantizedMultiplier` with two roundings, in 128 bits.
pub(crate) fn rescale(value: i32, multiplier: i32, shift: i32) -> i128 {
    let (left, right) = (shift.max(0).unsigned_abs(), (-shift).max(0));
    // Half up.
    let high = (i128::from(value.wrapping_shl(left)) * i128::from(multiplier) + (1 << 30)) >> 31;
    // Half away from zero.
    let half = (1i128 << right) >> 1;
    if high < 0 { -((-high + half) >> right) } else { (high + half) >> right }
}

/// The output of a sum: `words` are bias, multiplier, shift.
pub(crate) fn requantize(sum: i32, words: &[i32], zero_point: i32, min: i32, max: i32) -> i8 {
    let scaled = rescale(sum.wrapping_add(words[0]), words[1], words[2]);
    (scaled + i128::from(zero_point)).clamp(min.into(), max.into()) as i8
}

/// Tables of channels, in the plain form and in the one for any multiplier, that say the same.
pub(crate) fn tables(channels: usize) -> [Vec<i32>; 2] {
    let words = |c: usize| {
        let c = i32::try_from(c).unwrap();
        (c * 1000 - 3000, (1 << 30) + c * 12_345_678, 2 + c % 30)
    };
    let plain = |(bias, multiplier, right): (i32, i32, i32)| {
        [bias, multiplier.wrapping_mul(2), 1i32 << (32 - right)]
    };
    let any = |(bias, multiplier, right): (i32, i32, i32)| [bias, multiplier, -right];
    [
        (0..channels).flat_map(|c| plain(words(c))).collect(),
        (0..channels).flat_map(|c| any(words(c))).collect(),
    ]
}

/// Rows packed four by four, as [`crate::dot`] says.
pub(crate) fn interleave<T: Copy>(rows: &[T], depth: usize) -> Vec<T> {
    let depth = depth.max(1);
    let groups = rows.chunks_exact(depth * 4);
    let rest = groups.remainder();
    let mut packed: Vec<T> = groups
        .flat_map(|group| {
            (0..depth).flat_map(move |k| (0..4).map(move |row| group[row * depth + k]))
        })
        .collect();
    packed.extend_from_slice(rest);
    packed
}

/// A table for any multiplier whose shifts are to the right, as [`crate::arch::v6m`] takes it.
pub(crate) fn shifts(any: &[i32]) -> Vec<i32> {
    let words = any.as_chunks().0.iter();
    let mut table: Vec<i32> =
        words.flat_map(|&[bias, multiplier, shift]| [bias, multiplier, -shift]).collect();
    table.resize(padded(table.len() / 3) * 3, 1);
    table
}

/// Rows packed as [`crate::arch::rv32`] says; [`crate::arch::v6m`] has 128 added.
pub(crate) fn eights(rows: &[i8], depth: usize, added: i8) -> Vec<i8> {
    let channels = rows.len() / depth.max(1);
    let mut packed = Vec::new();
    let mut first = 0;
    while first < channels {
        let at_once = if channels - first >= 8 { 8 } else { 4 };
        for k in 0..depth {
            let of = |c: usize| if c < channels { rows[c * depth + k] } else { 0 };
            packed.extend((first..first + at_once).map(|c| of(c).wrapping_add(added)));
        }
        first += at_once;
    }
    packed
}

/// Runs a kernel on one image with the output as near below the input as it may lie, then as near above, and
/// gives both outputs. What is outside of both stays as it was.
pub(crate) fn overlapping<T: Copy + PartialEq + std::fmt::Debug>(
    distances: Distances,
    image: &[T],
    output: &[T],
    run: impl Fn(&mut [T], Range<usize>, Range<usize>),
) -> [Vec<T>; 2] {
    let elements = |bytes: u64| 1 + bytes as usize / size_of::<T>();
    let Some(&other) = image.first().or(output.first()) else { return [Vec::new(), Vec::new()] };
    [[elements(distances.input_above), 1], [1, elements(distances.output_above)]].map(
        |[input_at, output_at]| {
            let input_range = input_at..input_at + image.len();
            let output_range = output_at..output_at + output.len();
            let end = input_range.end.max(output_range.end);
            let mut memory = std::vec![other; end + 1];
            memory[input_range.clone()].copy_from_slice(image);
            run(&mut memory, input_range, output_range.clone());
            assert_eq!([memory[0], memory[end]], [other; 2]);
            memory[output_range].to_vec()
        },
    )
}

/// A table for any multiplier whose shifts are to the right, as [`crate::arch::helium`] takes it.
pub(crate) fn fours(any: &[i32]) -> Vec<i32> {
    let channels = any.len() / 3;
    let group = |channels: [usize; 4]| {
        let [a, b, c, d] = channels;
        let words = |word: usize, order: [usize; 4]| order.map(|channel| any[channel * 3 + word]);
        [words(0, [a, c, b, d]), words(1, channels), words(2, channels)]
    };
    let four = |first: usize| group([first, first + 1, first + 2, first + 3]);
    let groups: Vec<[[i32; 4]; 3]> = if channels < 4 {
        (0..channels).map(|channel| group([channel; 4])).collect()
    } else {
        (0..channels).step_by(4).map(|first| four(first.min(channels - 4))).collect()
    };
    groups.as_flattened().as_flattened().to_vec()
}

/// Rows of taps and their table for any multiplier, as [`crate::arch::helium::depthwise`] takes them.
pub(crate) fn blocks(rows: &[i8], taps: usize, any: &[i32]) -> (Option<Vec<i8>>, Vec<i32>) {
    let channels = any.len() / 3;
    let mut weights = Vec::new();
    let mut table = Vec::new();
    for block in (0..channels).step_by(BLOCK) {
        let of = |at: usize| {
            let channel = block + at;
            if BLOCK.is_multiple_of(channels) { channel % channels } else { channel }
        };
        for tap in 0..taps {
            weights
                .extend((0..BLOCK).map(|at| rows.get(of(at) * taps + tap).copied().unwrap_or(0)));
        }
        let word = |at: &usize, word: usize| any.get(of(*at) * 3 + word).copied().unwrap_or(0);
        table.extend(ORDER.iter().flatten().map(|at| word(at, 0)));
        for four in ORDER {
            table.extend(four.iter().map(|at| word(at, 1)));
            table.extend(four.iter().map(|at| word(at, 2)));
        }
    }
    (rows.iter().all(|&weight| weight > i8::MIN).then_some(weights), table)
}
