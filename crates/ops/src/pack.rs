//! Weights and tables as the kernels of `kinglet_kernels::dot` take them.

use crate::op::Refusal;
use crate::quant::quantize_multiplier;
use kinglet_kernels::dot::GROUP;

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

/// The words `bias, multiplier, shift` for each output channel, with the input's zero point folded
/// into the bias: `bias - zero_point * sum(weights of the channel)`.
///
/// `weights` are rows of `depth` elements, one row for each channel. The sums wrap as the reference's
/// do.
pub fn channel_words(
    weights: &[i8],
    depth: usize,
    bias: Option<&[i32]>,
    input_zero_point: i32,
    multipliers: &[f64],
) -> Result<Vec<i32>, Refusal> {
    let channels = weights.len() / depth.max(1);
    if multipliers.len() != channels || bias.is_some_and(|bias| bias.len() != channels) {
        return Err(Refusal::new(format!(
            "{channels} output channels with {} scales and {} biases",
            multipliers.len(),
            bias.map_or(0, <[i32]>::len)
        )));
    }
    let mut words = Vec::with_capacity(channels * 3);
    for (channel, row) in weights.chunks_exact(depth.max(1)).enumerate() {
        let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(i32::from(w)));
        let bias = bias.and_then(|bias| bias.get(channel)).copied().unwrap_or(0);
        let (multiplier, shift) = quantize_multiplier(multipliers[channel]);
        words.extend([bias.wrapping_sub(input_zero_point.wrapping_mul(sum)), multiplier, shift]);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_rows_are_interleaved_and_the_rest_is_not() {
        let rows: Vec<i8> = (0..10).collect();
        assert_eq!(interleave(&rows, 2), [0, 2, 4, 6, 1, 3, 5, 7, 8, 9]);
    }

    #[test]
    fn the_zero_point_is_folded_into_the_bias() {
        let words = channel_words(&[1, 2, -3, 4], 2, Some(&[10, 20]), 5, &[0.5, 1.0]).unwrap();
        assert_eq!(words, [10 - 15, 1 << 30, 0, 20 - 5, 1 << 30, 1]);
    }
}
