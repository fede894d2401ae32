//! Sums of products over packed weights: what convolution and fully connected layers share.
//!
//! **Packing.** Weights are rows of `depth` elements, one row for each output channel. Rows are taken
//! four at a time and interleaved, so that one loaded input meets four neighboring weights; the one to
//! three rows left over follow as they are. The sum over a group of four then needs two pointers.

use crate::chunks::Chunks;
/// Output channels computed at once.
pub const GROUP: usize = 4;

/// An element that can be multiplied and summed.
pub trait Lane: Copy {
    /// What sums of products are kept in.
    type Sum: Copy;

    /// `sum + a * b`, never fused.
    fn accumulate(sum: Self::Sum, a: Self, b: Self) -> Self::Sum;
}

impl Lane for i8 {
    type Sum = i32;

    #[inline(always)]
    fn accumulate(sum: i32, a: i8, b: i8) -> i32 {
        sum.wrapping_add(i32::from(a).wrapping_mul(i32::from(b)))
    }
}

impl Lane for f32 {
    type Sum = f32;

    #[inline(always)]
    fn accumulate(sum: f32, a: f32, b: f32) -> f32 {
        sum + a * b
    }
}

/// The inputs of one output: a list of slices that together are `depth` long.
pub trait Segments<T> {
    /// Hands each slice to `visit`, in the order of the weights.
    fn each(&self, visit: impl FnMut(&[T]));
}

/// One slice is a list of one.
impl<T> Segments<T> for &[T] {
    #[inline(always)]
    fn each(&self, mut visit: impl FnMut(&[T])) {
        visit(self);
    }
}

/// How a sum becomes an output.
pub trait Finish<T: Lane> {
    /// Words of the channel table for each output channel.
    const WORDS: usize;
    /// The element of the channel table.
    type Word: Copy;

    /// The sum to start from.
    fn start(words: &[Self::Word]) -> T::Sum;

    /// The output element.
    fn finish(&self, sum: T::Sum, words: &[Self::Word]) -> T;
}

/// Computes the outputs of one place: `output.len()` channels from the same inputs.
#[inline(always)]
pub fn outputs<T: Lane, F: Finish<T>>(
    depth: usize,
    weights: &[T],
    channels: &[F::Word],
    output: &mut [T],
    finish: &F,
    segments: impl Segments<T>,
) {
    let depth = depth.max(1);
    let (groups, rest) = output.as_chunks_mut::<GROUP>();
    let (group_channels, rest_channels) = channels
        .split_at_checked(groups.len().wrapping_mul(GROUP).wrapping_mul(F::WORDS))
        .unwrap_or((&[], &[]));
    let (group_weights, rest_weights) = weights
        .split_at_checked(groups.len().wrapping_mul(GROUP).wrapping_mul(depth))
        .unwrap_or((&[], &[]));
    let weights_and_words = group_weights
        .whole_chunks(depth.wrapping_mul(GROUP).max(1))
        .zip(group_channels.whole_chunks(F::WORDS.wrapping_mul(GROUP)));
    for (out, (weights, words)) in groups.iter_mut().zip(weights_and_words) {
        let [w0, w1, w2, w3] = four(words, F::WORDS);
        let mut sums = [F::start(w0), F::start(w1), F::start(w2), F::start(w3)];
        let mut left = weights;
        segments.each(|segment| {
            let (now, later) =
                left.split_at_checked(segment.len().wrapping_mul(GROUP)).unwrap_or((&[], &[]));
            left = later;
            sums = sum_group(sums, segment, now);
        });
        *out = [
            finish.finish(sums[0], w0),
            finish.finish(sums[1], w1),
            finish.finish(sums[2], w2),
            finish.finish(sums[3], w3),
        ];
    }
    let weights_and_words =
        rest_weights.whole_chunks(depth).zip(rest_channels.whole_chunks(F::WORDS));
    for (out, (weights, words)) in rest.iter_mut().zip(weights_and_words) {
        let mut sum = F::start(words);
        let mut left = weights;
        segments.each(|segment| {
            let (now, later) = left.split_at_checked(segment.len()).unwrap_or((&[], &[]));
            left = later;
            for (&a, &b) in segment.iter().zip(now) {
                sum = T::accumulate(sum, a, b);
            }
        });
        *out = finish.finish(sum, words);
    }
}

/// Adds the products of one segment to four sums.
#[inline(always)]
fn sum_group<T: Lane>(mut sums: [T::Sum; GROUP], segment: &[T], weights: &[T]) -> [T::Sum; GROUP] {
    let (weights, _) = weights.as_chunks::<GROUP>();
    for (&a, b) in segment.iter().zip(weights) {
        sums = [
            T::accumulate(sums[0], a, b[0]),
            T::accumulate(sums[1], a, b[1]),
            T::accumulate(sums[2], a, b[2]),
            T::accumulate(sums[3], a, b[3]),
        ];
    }
    sums
}

/// Cuts a table of four entries into its entries; missing ones are empty.
#[inline(always)]
pub(crate) fn four<W>(words: &[W], each: usize) -> [&[W]; GROUP] {
    let mut entries = words.whole_chunks(each.max(1));
    [
        entries.next().unwrap_or(&[]),
        entries.next().unwrap_or(&[]),
        entries.next().unwrap_or(&[]),
        entries.next().unwrap_or(&[]),
    ]
}

/// From an i32 sum to i8 through a table of bias, multiplier and shift for each channel.
#[derive(Clone, Copy, Debug)]
pub struct RequantizeI8 {
    /// Zero point of the output.
    pub zero_point: i32,
    /// Least output.
    pub min: i32,
    /// Greatest output.
    pub max: i32,
}

impl Finish<i8> for RequantizeI8 {
    const WORDS: usize = 3;
    type Word = i32;

    #[inline(always)]
    fn start(words: &[i32]) -> i32 {
        words.first().copied().unwrap_or(0)
    }

    #[inline(always)]
    fn finish(&self, sum: i32, words: &[i32]) -> i8 {
        let multiplier = words.get(1).copied().unwrap_or(0);
        let shift = words.get(2).copied().unwrap_or(0);
        let scaled = crate::fixed::multiply_by_quantized_multiplier(sum, multiplier, shift);
        crate::fixed::to_i8(scaled, self.zero_point, self.min, self.max)
    }
}

/// From an f32 sum to the output: the bias first, the clamp last; NaN passes.
#[derive(Clone, Copy, Debug)]
pub struct ClampF32 {
    /// Least output.
    pub min: f32,
    /// Greatest output.
    pub max: f32,
}

impl Finish<f32> for ClampF32 {
    const WORDS: usize = 1;
    type Word = f32;

    #[inline(always)]
    fn start(_words: &[f32]) -> f32 {
        0.0
    }

    #[inline(always)]
    fn finish(&self, sum: f32, words: &[f32]) -> f32 {
        crate::fixed::clamp_f32(sum + words.first().copied().unwrap_or(0.0), self.min, self.max)
    }
}
