//! Depthwise convolution: sixteen channels at once.
//!
//! The products of two taps and their sum are numbers of 16 bits when no weight is -128, which halves the
//! additions of 32 bits.

use crate::arch::taps::Taps;

/// Channels of a block.
pub const BLOCK: usize = 16;

/// Bias of each channel of a block, then multiplier and shift of each four. Right shifts are negative numbers.
pub type Table = [[i32; 4]; 12];

/// The channels of a block in the order in which its table has them: how two widenings of every other element
/// leave them.
pub const ORDER: [[usize; 4]; 4] = [[0, 4, 8, 12], [2, 6, 10, 14], [1, 5, 9, 13], [3, 7, 11, 15]];

/// Neighboring places whose channels are computed.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// How many.
    pub number: usize,
    /// Elements of a tap before the first one that is used.
    pub at: usize,
    /// Elements from the first channel of a place to that of the next one.
    pub step: usize,
    /// Channels of a place.
    pub channels: usize,
}

/// Computes the channels of some places, side by side.
///
/// `weights` have [`BLOCK`] channels for each tap, block after block, none of them -128; in the last block there
/// may be more channels than are computed. `table` has an element for each block; right shifts are 1 to 31,
/// otherwise as `multiply_by_quantized_multiplier` takes them.
///
/// Nothing is written unless taps, weights, table and room for the outputs are there.
#[inline(always)]
pub fn outputs(
    taps: &Taps<'_, i8>,
    places: Places,
    weights: &[i8],
    table: &[Table],
    output: &mut [i8],
    zero_point: i32,
) {
    let (_, count, shortest) = taps.parts();
    let blocks = places.channels.div_ceil(BLOCK);
    let product = |a: usize, b: usize| a.checked_mul(b);
    let enough_weights = product(count, blocks)
        .and_then(|taps| product(taps, BLOCK))
        .is_some_and(|needed| needed <= weights.len());
    let enough_room =
        product(places.number, places.channels).is_some_and(|needed| needed <= output.len());
    let enough_inputs = product(places.number.wrapping_sub(1), places.step)
        .and_then(|last| last.checked_add(places.at)?.checked_add(places.channels))
        .is_some_and(|end| end <= shortest);
    let something = count > 0 && blocks > 0 && places.number > 0;
    if something && enough_weights && enough_room && enough_inputs && blocks <= table.len() {
        compute(taps, places, weights, table, output, zero_point);
    }
}

#[cfg(all(target_arch = "arm", feature = "helium"))]
mod instructions;
#[cfg(all(target_arch = "arm", feature = "helium"))]
use instructions::compute;

/// The same in portable code: what the instructions must give.
#[cfg(not(all(target_arch = "arm", feature = "helium")))]
#[inline(always)]
fn compute(
    taps: &Taps<'_, i8>,
    places: Places,
    weights: &[i8],
    table: &[Table],
    output: &mut [i8],
    zero_point: i32,
) {
    use crate::chunks::Chunks;
    use crate::fixed::multiply_by_quantized_multiplier;

    let (_, count, _) = taps.parts();
    let mut at = places.at;
    for pixel in output.whole_chunks_mut(places.channels).take(places.number) {
        let blocks = weights.whole_chunks(count.wrapping_mul(BLOCK)).zip(table);
        for ((block, (weights, table)), outputs) in blocks.enumerate().zip(pixel.chunks_mut(BLOCK))
        {
            let (biases, others) = table.split_at_checked(4).unwrap_or((&[], &[]));
            let fours = ORDER.iter().zip(biases).zip(others.as_chunks().0);
            for ((channels, biases), [multipliers, shifts]) in fours {
                let words = biases.iter().zip(multipliers).zip(shifts);
                for (&channel, ((&bias, &multiplier), &shift)) in channels.iter().zip(words) {
                    let Some(out) = outputs.get_mut(channel) else { continue };
                    let first = at.wrapping_add(block.wrapping_mul(BLOCK)).wrapping_add(channel);
                    let inputs = taps.iter().map(|tap| tap.get(first).copied().unwrap_or(0));
                    let sum = inputs.zip(weights.whole_chunks(BLOCK)).fold(bias, |sum, (x, w)| {
                        let w = w.get(channel).copied().unwrap_or(0);
                        sum.wrapping_add(i32::from(x).wrapping_mul(i32::from(w)))
                    });
                    let scaled = multiply_by_quantized_multiplier(sum, multiplier, shift);
                    *out = scaled.wrapping_add(zero_point).clamp(-128, 127) as i8;
                }
            }
        }
        at = at.wrapping_add(places.step);
    }
}
