//! Weights and tables as the kernels of `kinglet_kernels::dot` take them.

use crate::lower::{Arg, ConstantData, Lower};
use crate::op::Refusal;
use crate::quant::quantize_multiplier;
use crate::reference;
use kinglet_kernels::arch::helium;
use kinglet_kernels::arch::helium::depthwise::{BLOCK, ORDER};
use kinglet_kernels::arch::rv32::{MOST, MOST_SHIFT};
use kinglet_kernels::arch::v6m::{CHANNELS, FEWER, padded};
use kinglet_kernels::dot::GROUP;
use kinglet_target::{Isa, Vector};

/// Packs rows of `depth` elements: groups of four rows interleaved, the rows left over as they are.
/// The result has as many elements as the rows.
pub fn interleave<T: Copy>(rows: &[T], depth: usize) -> Vec<T> {
    let depth = depth.max(1);
    let mut packed = Vec::with_capacity(rows.len());
    let groups = rows.chunks_exact(depth * GROUP);
    let rest = groups.remainder();
    for group in groups {
        for k in 0..depth {
            packed.extend(group.iter().skip(k).step_by(depth).copied());
        }
    }
    packed.extend_from_slice(rest);
    packed
}

/// Packs the rows of each group of output channels by itself.
pub fn interleave_groups<T: Copy>(rows: &[T], depth: usize, group_outputs: usize) -> Vec<T> {
    let group = depth.saturating_mul(group_outputs).max(1);
    rows.chunks(group).flat_map(|rows| interleave(rows, depth)).collect()
}

/// Packs rows of `depth` elements, one row for each output channel, as `kinglet_kernels::arch::dsp` takes
/// them: two channels in one number; rows left over four weights a word; the rows of each group of output
/// channels by themselves. `None` where two channels in one number could not be told apart: with a weight of
/// -128, or where a sum may reach 2^23.
pub fn pairs(rows: &[i8], depth: usize, group_outputs: usize) -> Option<Vec<i32>> {
    let depth = depth.max(1);
    let largest = |row: &[i8]| row.iter().map(|w| i64::from(w.unsigned_abs()) * 128).sum::<i64>();
    if rows.contains(&i8::MIN) || rows.chunks(depth).any(|row| largest(row) >= 1 << 23) {
        return None;
    }
    let mut packed = Vec::with_capacity(rows.len().div_ceil(4));
    for rows in rows.chunks(depth.saturating_mul(group_outputs).max(1)) {
        let groups = rows.chunks_exact(depth * GROUP);
        let rest = groups.remainder();
        for group in groups {
            let at = |channel: usize, k: usize| match group.get(channel * depth + k) {
                Some(&weight) if k < depth => i32::from(weight),
                _ => 0,
            };
            for k in (0..depth).step_by(4) {
                for first in [0, 2] {
                    let half = |k| (at(first + 1, k) * 256 + at(first, k)) & 0xffff;
                    packed.push(half(k) | half(k + 2) << 16);
                    packed.push(half(k + 1) | half(k + 3) << 16);
                }
            }
        }
        for row in rest.chunks(depth) {
            for weights in row.chunks(4) {
                let mut word = [0; 4];
                for (to, &from) in word.iter_mut().zip(weights) {
                    *to = from.cast_unsigned();
                }
                packed.push(i32::from_le_bytes(word));
            }
        }
    }
    Some(packed)
}

/// Packs rows of `depth` elements: eight rows interleaved, then four, filled up with zeros, as
/// `kinglet_kernels::arch::rv32` takes them. `kinglet_kernels::arch::v6m` takes them with `added` 128, mod 256.
pub fn eights(rows: &[i8], depth: usize, added: i8) -> Vec<i8> {
    let depth = depth.max(1);
    let channels = rows.len() / depth;
    let mut packed = Vec::with_capacity(padded(channels) * depth);
    let mut first = 0;
    while first < channels {
        let at_once = if channels - first >= CHANNELS { CHANNELS } else { FEWER };
        for k in 0..depth {
            let of = |channel: usize| rows.get(channel * depth + k).copied().unwrap_or(0);
            packed.extend((first..first + at_once).map(|channel| of(channel).wrapping_add(added)));
        }
        first += at_once;
    }
    packed
}

/// The table of output channels as `kinglet_kernels::arch::helium` takes it, from one with three words a channel,
/// the last one a right shift.
pub fn fours(shifts: &[i32]) -> Vec<i32> {
    let (words, _) = shifts.as_chunks::<3>();
    let mut table = Vec::new();
    for group in 0..helium::groups(words.len()) {
        let channel = |at: usize| match words.len().checked_sub(helium::CHANNELS) {
            Some(last) => words.get((group * helium::CHANNELS).min(last) + at),
            None => words.get(group),
        };
        for (word, order) in [(0, [0, 2, 1, 3]), (1, [0, 1, 2, 3]), (2, [0, 1, 2, 3])] {
            let of =
                |at: usize| channel(at).and_then(|words| words.get(word)).copied().unwrap_or(0);
            table.extend(order.map(|at| if word == 2 { -of(at) } else { of(at) }));
        }
    }
    table
}

/// Packs rows of taps, one for each channel of a depthwise convolution, and their table, as [`fours`] takes it, as
/// `kinglet_kernels::arch::helium::depthwise` takes them: sixteen channels for each tap, block after block, filled
/// up with the same channels again where they go into a block, else with nothing. `None` with a weight of -128.
pub fn blocks(rows: &[i8], taps: usize, shifts: &[i32]) -> Option<(Vec<i8>, Vec<i32>)> {
    if rows.contains(&i8::MIN) {
        return None;
    }
    let (words, _) = shifts.as_chunks::<3>();
    let channels = words.len().max(1);
    let (mut weights, mut table) = (Vec::new(), Vec::new());
    for block in (0..channels).step_by(BLOCK) {
        let of = |at: usize| {
            if BLOCK.is_multiple_of(channels) { at % channels } else { block + at }
        };
        for tap in 0..taps {
            let weight = |at: usize| rows.get(of(at) * taps + tap).copied().unwrap_or(0);
            weights.extend((0..BLOCK).map(weight));
        }
        let words = |at: usize| words.get(of(at)).copied().unwrap_or([0, 0, 1]);
        table.extend(ORDER.iter().flatten().map(|&at| words(at)[0]));
        for four in ORDER {
            table.extend(four.map(|at| words(at)[1]));
            table.extend(four.map(|at| -words(at)[2]));
        }
    }
    Some((weights, table))
}

/// Which kernels take the weights of an int8 convolution or fully connected layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// [`interleave_groups`]; every kernel without another name.
    Interleaved,
    /// [`pairs`]; `…PairsI8`.
    Pairs,
    /// [`eights`] with 128 added, with the table of [`Channels::shifts`]; `…EightsI8`.
    Eights,
    /// [`eights`], with the same table, and what [`longest`] says; `…ThreesI8`.
    Threes(u32),
    /// Rows as they are, with the table of [`fours`]; `…RowsI8`.
    Rows,
}

/// What a layout asks of the inputs of an output.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// Four inputs are always there at once.
    pub whole_blocks: bool,
    /// They are few runs.
    pub few_runs: bool,
    /// They can be computed for three places at once: [`longest`].
    pub threes: Option<u32>,
    /// The kernel of [`Layout::Rows`] takes them.
    pub rows_as_they_are: bool,
}

/// For how many neighboring inputs `kinglet_kernels::arch::rv32` has room for the sums of three places, 0 when it
/// has for those over all; rows have `depth` weights.
pub fn longest(rows: &[i8], depth: usize) -> Option<u32> {
    let sum = |weights: &[i8]| weights.iter().map(|w| u32::from(w.unsigned_abs())).sum::<u32>();
    let depth = depth.max(1);
    if rows.chunks(depth).all(|row| sum(row) <= MOST) {
        return Some(0);
    }
    // What is summed may begin at any input.
    let room = |len: usize| {
        rows.chunks(depth).all(|row| row.windows(len.min(depth)).all(|part| sum(part) <= MOST))
    };
    [256usize, 192, 128, 96, 64, 48]
        .into_iter()
        .find(|&len| room(len))
        .and_then(|len| u32::try_from(len).ok())
}

/// Packs rows of `depth` weights for the target: the layout, and the constant. `channels` is their table.
pub fn weights_i8(
    cx: &mut Lower<'_>,
    channels: &Channels,
    rows: &[i8],
    depth: usize,
    group_outputs: usize,
    inputs: Inputs,
) -> (Layout, Arg) {
    let vector = cx.target().vector;
    if inputs.rows_as_they_are && channels.for_rows(cx) {
        let data = ConstantData::I8(rows.to_vec());
        return (Layout::Rows, cx.constant("weights", "", Some(1), data));
    }
    if vector == Vector::Dsp
        && !channels.any
        && inputs.whole_blocks
        && let Some(packed) = pairs(rows, depth, group_outputs)
    {
        let label = "2 channels in a number, 4 inputs a block";
        let data = ConstantData::I32(packed);
        return (Layout::Pairs, cx.constant("weights", label, Some(1), data));
    }
    if let Some(longest) = inputs.threes
        && channels.for_threes(cx)
    {
        let data = ConstantData::I8(eights(rows, depth, 0));
        let label = "8 rows interleaved, then 4";
        return (Layout::Threes(longest), cx.constant("weights", label, Some(1), data));
    }
    if inputs.few_runs && channels.for_eights(cx) {
        let data = ConstantData::I8(eights(rows, depth, i8::MIN));
        let label = "8 rows interleaved, then 4, 128 added";
        return (Layout::Eights, cx.constant("weights", label, Some(1), data));
    }
    let data = ConstantData::I8(interleave_groups(rows, depth, group_outputs));
    (Layout::Interleaved, cx.constant("weights", "4 rows interleaved", Some(1), data))
}

/// The table of output channels of an int8 kernel, in one of the two forms of `kinglet_kernels::dot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Three words for each channel.
    pub words: Vec<i32>,
    /// Whether the kernel must be the one for any multiplier.
    pub any: bool,
    /// The table with right shifts of 1 to 31, as `RequantizeShiftI8` takes it, where all shifts are such and no
    /// sum reaches 2^29.
    pub shifts: Option<Vec<i32>>,
}

impl Channels {
    /// The table, with the input's zero point folded into the bias: `bias - zero_point * sum(weights of
    /// the channel)`.
    ///
    /// `weights` are rows of `depth` elements, one row for each channel. The sums wrap as the
    /// reference's do.
    ///
    /// # Errors
    /// When the numbers of rows, biases and multipliers differ.
    pub fn new(
        weights: &[i8],
        depth: usize,
        bias: Option<&[i32]>,
        input_zero_point: i32,
        multipliers: &[f64],
    ) -> Result<Self, Refusal> {
        let channels = weights.len() / depth.max(1);
        if multipliers.len() != channels || bias.is_some_and(|bias| bias.len() != channels) {
            return Err(Refusal::new(format!(
                "{channels} output channels with {} scales and {} biases",
                multipliers.len(),
                bias.map_or(0, <[i32]>::len)
            )));
        }
        let scales: Vec<(i32, i32)> = multipliers.iter().map(|&m| quantize_multiplier(m)).collect();
        // The plain form needs a right shift of two at least: its scale is a positive i32. A multiplier
        // of 0 is a scale of 0.
        let any = scales.iter().any(|&(multiplier, shift)| multiplier != 0 && shift > -2);
        let mut words = Vec::with_capacity(channels * 3);
        let mut shifts = Some(Vec::with_capacity(channels * 3));
        for ((channel, row), (multiplier, shift)) in
            weights.chunks_exact(depth.max(1)).enumerate().zip(scales)
        {
            let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
            let bias = bias.and_then(|bias| bias.get(channel)).copied().unwrap_or(0);
            let start = bias.wrapping_sub(input_zero_point.wrapping_mul(sum));
            words.push(start);
            let most: u64 = row.iter().map(|w| u64::from(w.unsigned_abs()) * 128).sum();
            let entry = shift_entry(start, most, multiplier, shift);
            shifts = shifts.zip(entry).map(|(mut table, entry): (Vec<i32>, _)| {
                table.extend(entry);
                table
            });
            if any {
                words.extend([multiplier, shift]);
            } else if multiplier == 0 {
                words.extend([i32::MIN, 0]);
            } else {
                words.extend([multiplier.wrapping_mul(2), 1 << (32 + shift)]);
            }
        }
        Ok(Self { words, any, shifts })
    }

    /// Whether the target's kernels are those that take [`Channels::shifts`].
    pub fn for_eights(&self, cx: &Lower<'_>) -> bool {
        cx.target().isa == Isa::Armv6m && self.shifts.is_some()
    }

    /// Whether the target's kernels are those that take [`Channels::shifts`] up to [`MOST_SHIFT`].
    pub fn for_threes(&self, cx: &Lower<'_>) -> bool {
        let small =
            |shifts: &[i32]| shifts.iter().skip(2).step_by(3).all(|&right| right <= MOST_SHIFT);
        cx.target().isa == Isa::Rv32imc && self.shifts.as_deref().is_some_and(small)
    }

    /// Whether the target's kernels are those that take the table of [`fours`].
    pub fn for_rows(&self, cx: &Lower<'_>) -> bool {
        cx.target().vector == Vector::Helium && self.shifts.is_some()
    }

    /// The table that goes with a layout as a constant, made from the bias at this input.
    pub fn constant_for(&self, cx: &mut Lower<'_>, layout: Layout, bias: usize) -> Arg {
        match (layout, &self.shifts) {
            (Layout::Eights | Layout::Threes(_), Some(shifts)) => {
                let mut words = shifts.clone();
                words.resize(padded(words.len() / 3) * 3, 1);
                let data = ConstantData::I32(words);
                cx.constant("channels", "bias, multiplier, right shift", Some(bias), data)
            }
            (Layout::Rows, Some(shifts)) => {
                let data = ConstantData::I32(fours(shifts));
                cx.constant("channels", "4 biases, 4 multipliers, 4 shifts", Some(bias), data)
            }
            _ => self.constant(cx, bias),
        }
    }

    /// The table as a constant, made from the bias at this input.
    pub fn constant(&self, cx: &mut Lower<'_>, bias: usize) -> Arg {
        let packing = if self.any {
            "bias, multiplier, shift"
        } else {
            "bias, 2 x multiplier, 2^32 >> right shift"
        };
        cx.constant("channels", packing, Some(bias), ConstantData::I32(self.words.clone()))
    }
}

/// An entry of [`Channels::shifts`] for a channel whose sums start here and move from there by `most` at most.
fn shift_entry(start: i32, most: u64, multiplier: i32, shift: i32) -> Option<[i32; 3]> {
    if most == 0 || multiplier == 0 {
        // Always the same value, whose bias may be huge; beyond nine bits all values are out of range. A quarter
        // of four times the value is the value.
        let value = reference::multiply_by_quantized_multiplier(start, multiplier, shift);
        let kept = if multiplier == 0 { 0 } else { 1 << 30 };
        return Some([value.clamp(-511, 511) * 4, kept, 1]);
    }
    let right = shift.wrapping_neg();
    let small = most.saturating_add(start.unsigned_abs().into()) < 1 << 29;
    (small && (1..=31).contains(&right)).then_some([start, multiplier, right])
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_kernels::arch::rv32::RUNS;
    use kinglet_kernels::conv2d::takes_rows;
    use kinglet_kernels::conv2d::threes::PATCH;
    use kinglet_kernels::dot::PAIRS_PATCH;
    use kinglet_kernels::{
        Conv2dI8, Conv2dPairsI8, Conv2dRowsI8, Conv2dThreesI8, DepthwiseConv2dBlocksI8,
        DepthwiseConv2dI8, FullyConnectedI8, FullyConnectedPairsI8, FullyConnectedRowsI8, Window,
    };
    use proptest::prelude::*;

    #[test]
    fn four_rows_are_interleaved_and_the_rest_is_not() {
        let rows: Vec<i8> = (0..10).collect();
        assert_eq!(interleave(&rows, 2), [0, 2, 4, 6, 1, 3, 5, 7, 8, 9]);
    }

    #[test]
    fn eight_rows_are_interleaved_then_four() {
        let rows: Vec<i8> = (0..26).collect();
        let packed = eights(&rows, 2, i8::MIN);
        let added = |weight: i8| weight ^ i8::MIN;
        let eight = [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15].map(added);
        assert_eq!(packed[..16], eight);
        assert_eq!(packed[16..24], [16, 18, 20, 22, 17, 19, 21, 23].map(added));
        assert_eq!(packed[24..], [24, 0, 0, 0, 25, 0, 0, 0].map(added));
    }

    #[test]
    fn right_shifts_have_a_table_of_their_own() {
        let table = Channels::new(&[1, 2, -3, 4], 2, Some(&[10, 20]), 5, &[0.3, 0.0]).unwrap();
        let (multiplier, shift) = quantize_multiplier(0.3);
        assert_eq!(shift, -1);
        assert_eq!(table.shifts.unwrap(), [10 - 15, multiplier, 1, 0, 0, 1]);
        assert!(Channels::new(&[1], 1, None, 0, &[0.5]).unwrap().shifts.is_none());
        // A channel that is always the same, for any bias.
        let constant = Channels::new(&[0], 1, Some(&[1 << 30]), 0, &[2f64.powi(-24)]).unwrap();
        assert_eq!(constant.shifts.unwrap(), [64 * 4, 1 << 30, 1]);
        assert!(Channels::new(&[1], 1, Some(&[1 << 29]), 0, &[0.1]).unwrap().shifts.is_none());
    }

    #[test]
    fn two_channels_share_a_word_while_they_can_be_told_apart() {
        let rows =
            [1, 2, 3, 4, 5, -1, -2, -3, -4, -5, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 6, 7, 8, 9, 10];
        let packed = pairs(&rows, 5, 5).unwrap();
        let half = |first: i32, second: i32| (second * 256 + first) & 0xffff;
        let group = [
            [half(1, -1) | half(3, -3) << 16, half(2, -2) | half(4, -4) << 16, 0, 0],
            [half(5, -5), 0, half(1, 2), 0],
        ];
        assert_eq!(packed[..8], *group.as_flattened());
        assert_eq!(packed[8..], [0x0908_0706, 10]);
        assert_eq!(pairs(&[1, -128], 2, 1), None);
        assert_eq!(pairs(&[127; 517], 517, 1), None);
        assert!(pairs(&[127; 516], 516, 1).is_some());
    }

    proptest! {
        #[test]
        fn kernels_of_both_layouts_compute_the_same(
            (in_height, in_width) in (1u32..8, 1u32..8),
            (height, width) in (1u32..4, 1u32..4),
            (stride_height, stride_width) in (1u32..3, 1u32..3),
            (dilation_height, dilation_width) in (1u32..3, 1u32..3),
            (pad_top, pad_left, out_height, out_width) in (0u32..3, 0u32..3, 1u32..5, 1u32..5),
            (groups, group_channels, group_outputs) in (1usize..4, 1usize..40, 1usize..11),
            (zero, output_zero_point, min, max) in (any::<i8>(), -128i32..128, -128i32..0, 0i32..128),
            seed in prop::collection::vec(any::<i8>(), 1..97),
        ) {
            let window = Window {
                in_height, in_width, out_height, out_width, height, width, stride_height, stride_width,
                dilation_height, dilation_width, pad_top, pad_left,
            };
            let (channels, outputs) = (groups * group_channels, groups * group_outputs);
            let depth = (height * width) as usize * group_channels;
            // As lowering chooses: whole blocks, or a patch that is gathered.
            prop_assume!(group_channels % 4 == 0 || depth <= PAIRS_PATCH);
            let bytes = |len: usize| -> Vec<i8> { seed.iter().copied().cycle().take(len).collect() };
            let input = bytes((in_height * in_width) as usize * channels);
            let rows: Vec<i8> = bytes(depth * outputs).into_iter().map(|w| w.max(-127)).collect();
            let multipliers: Vec<f64> = (1..=outputs).map(|c| 0.2 / (c * c) as f64).collect();
            let bias: Vec<i32> = (0..outputs as i32).map(|c| c * 3_001 - 20_000).collect();
            let table = Channels::new(&rows, depth, Some(&bias), i32::from(zero), &multipliers).unwrap();
            prop_assert!(!table.any);
            let padding = vec![zero; width as usize * group_channels];
            let places = (out_height * out_width) as usize;
            let (mut plain, mut paired) = (vec![0; places * outputs], vec![1; places * outputs]);
            let (in_channels, out_channels) = (channels as u32, outputs as u32);
            let groups = groups as u32;
            Conv2dI8 { window, in_channels, out_channels, groups, output_zero_point, min, max }.run(
                &input, &interleave_groups(&rows, depth, group_outputs), &table.words, &padding, &mut plain,
            );
            let packed = pairs(&rows, depth, group_outputs).unwrap();
            Conv2dPairsI8 { window, in_channels, out_channels, groups, output_zero_point, min, max }
                .run(&input, &packed, &table.words, &padding, &mut paired);
            prop_assert_eq!(&paired, &plain);

            let few = depth <= PATCH || height * width <= RUNS as u32;
            let holds_zero = min <= output_zero_point && output_zero_point <= max;
            if groups == 1 && dilation_width == 1 && few && holds_zero {
                let mut words = table.shifts.clone().unwrap();
                words.resize(padded(outputs) * 3, 1);
                let packed = eights(&rows, depth, 0);
                for longest in [longest(&rows, depth).unwrap(), 7] {
                    Conv2dThreesI8 {
                        window, in_channels, out_channels, output_zero_point, min, max, longest,
                    }
                    .run(&input, &packed, &words, &padding, &mut paired);
                    prop_assert_eq!(&paired, &plain);
                }
            }
            let shifts = table.shifts.as_ref().unwrap();
            if groups == 1 && takes_rows(&window, in_channels, out_channels) {
                paired.fill(1);
                Conv2dRowsI8 { window, in_channels, out_channels, output_zero_point, min, max }
                    .run(&input, &rows, &fours(shifts), &padding, &mut paired);
                prop_assert_eq!(&paired, &plain);
            }
            if depth <= 25 {
                // The same rows as taps of a depthwise convolution of as many channels.
                let channels = out_channels;
                let window = Window { height: 1, width: depth as u32, dilation_width: 1, ..window };
                let input = bytes((in_height * in_width * channels) as usize);
                let padding = vec![zero; outputs.max(BLOCK)];
                DepthwiseConv2dI8 { window, channels, output_zero_point, min, max }
                    .run(&input, &interleave(&rows, depth), &table.words, &padding, &mut plain);
                let (weights, words) = blocks(&rows, depth, shifts).unwrap();
                paired.fill(1);
                DepthwiseConv2dBlocksI8 { window, channels, output_zero_point, min, max }
                    .run(&input, &weights, &words, &padding, &mut paired);
                prop_assert_eq!(&paired, &plain);
            }

            // Fewer elements than the shape says: no panic.
            let kernel = Conv2dPairsI8 {
                window, in_channels, out_channels, groups, output_zero_point, min, max,
            };
            kernel.run(&input[1..], &packed, &table.words, &padding, &mut paired);
            kernel.run(&input, &packed[1..], &table.words[1..], &[], &mut paired);

            let (places, inputs) = (input.len() / channels, channels as u32);
            let rows = bytes(channels * outputs);
            let rows: Vec<i8> = rows.into_iter().map(|w| w.max(-127)).collect();
            let table = Channels::new(&rows, channels, Some(&bias), i32::from(zero), &multipliers).unwrap();
            let (mut plain, mut paired) = (vec![0; places * outputs], vec![1; places * outputs]);
            let outputs = out_channels;
            FullyConnectedI8 { inputs, outputs, output_zero_point, min, max }
                .run(&input, &interleave(&rows, channels), &table.words, &mut plain);
            let packed = pairs(&rows, channels, outputs as usize).unwrap();
            FullyConnectedPairsI8 { inputs, outputs, output_zero_point, min, max }
                .run(&input, &packed, &table.words, &mut paired);
            prop_assert_eq!(&paired, &plain);
            paired.fill(1);
            FullyConnectedRowsI8 { inputs, outputs, output_zero_point, min, max }
                .run(&input, &rows, &fours(table.shifts.as_ref().unwrap()), &mut paired);
            prop_assert_eq!(&paired, &plain);
        }
    }

    #[test]
    fn sums_of_three_places_have_room_over_so_many_inputs() {
        assert_eq!(longest(&[127; 640], 64), Some(0));
        assert_eq!(longest(&[127; 650], 65), Some(64));
        assert_eq!(longest(&[-128; 64], 64), Some(48));
        assert_eq!(longest(&[20; 1000], 1000), Some(256));
        let mut rows = [1; 2000];
        rows[900..1000].fill(127);
        assert_eq!(longest(&rows, 1000), Some(64));
    }

    #[test]
    fn the_last_group_has_the_last_four_channels() {
        let shifts: Vec<i32> = (0..6).flat_map(|c| [c, 100 + c, 1 + c]).collect();
        let table = fours(&shifts);
        assert_eq!(table[..12], [0, 2, 1, 3, 100, 101, 102, 103, -1, -2, -3, -4]);
        assert_eq!(table[12..], [2, 4, 3, 5, 102, 103, 104, 105, -3, -4, -5, -6]);
        assert_eq!(fours(&[7, 8, 9]), [7, 7, 7, 7, 8, 8, 8, 8, -9, -9, -9, -9]);
    }

    #[test]
    fn channels_that_go_into_a_block_are_there_so_often() {
        let (weights, table) = blocks(&[1, 2, 3, 4], 2, &[10, 20, 3, 11, 21, 4]).unwrap();
        assert_eq!(weights[..16], [1, 3].repeat(8));
        assert_eq!(weights[16..], [2, 4].repeat(8));
        assert_eq!(table[..16], [[10; 8], [11; 8]].concat());
        assert_eq!(table[16..24], [20, 20, 20, 20, -3, -3, -3, -3]);
        assert_eq!(table[40..], [21, 21, 21, 21, -4, -4, -4, -4]);
        assert!(blocks(&[-128], 1, &[0, 0, 1]).is_none());
    }

    #[test]
    fn the_zero_point_is_folded_into_the_bias() {
        let small = Channels::new(&[1, 2, -3, 4], 2, Some(&[10, 20]), 5, &[0.125, 0.03]).unwrap();
        let (multiplier, shift) = quantize_multiplier(0.03);
        assert_eq!(shift, -5);
        assert_eq!(
            small.words,
            [10 - 15, i32::MIN, 1 << 30, 20 - 5, multiplier.wrapping_mul(2), 1 << 27]
        );
        assert!(!small.any);
    }

    #[test]
    fn a_multiplier_that_is_too_large_takes_the_other_form() {
        let large = Channels::new(&[1, 2, -3, 4], 2, Some(&[10, 20]), 5, &[0.5, 1.0]).unwrap();
        assert_eq!(large.words, [10 - 15, 1 << 30, 0, 20 - 5, 1 << 30, 1]);
        assert!(large.any);
        // 0.25 is 0.5 x 2^-1.
        assert!(Channels::new(&[1], 1, None, 0, &[0.25]).unwrap().any);
        let nothing = Channels::new(&[1], 1, None, 0, &[0.0]).unwrap();
        assert_eq!((nothing.words.as_slice(), nothing.any), (&[0, i32::MIN, 0][..], false));
    }
}
