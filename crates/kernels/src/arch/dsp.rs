//! The Arm DSP extension (Cortex-M4, M7, M33): two 16-bit products and their sum in one instruction.

#[cfg(all(target_arch = "arm", feature = "dsp"))]
pub use instructions::{add_blocks, depthwise, outputs};
#[cfg(not(all(target_arch = "arm", feature = "dsp")))]
pub use twin::{add_blocks, outputs};

/// Sums of four output channels on their way: for each two neighboring channels the sum of both, the second
/// one times 256, and the sum of the first alone.
pub type PairSums = [i32; 4];

/// The sums of four channels, where the second channel of each two stays below 2^23.
#[inline(always)]
pub fn separate([both, first, both_later, first_later]: PairSums) -> [i32; 4] {
    let second = |both: i32, first: i32| both.wrapping_sub(first) >> 8;
    [first, second(both, first), first_later, second(both_later, first_later)]
}

/// What ends the sums of [`outputs`], for four bytes at once.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Limits {
    low: u32,
    low_and_high: u32,
    high: u32,
    flip: u32,
    zero_point: i32,
}

impl Limits {
    /// The output's zero point; how far the least output lies above -128, and the greatest below 127: both
    /// together at most 255.
    #[inline(always)]
    pub fn new(zero_point: i32, low: u32, high: u32) -> Self {
        let four = |byte: u32| byte.wrapping_mul(0x0101_0101);
        Self {
            low: four(low),
            low_and_high: four(low.wrapping_add(high)),
            high: four(high),
            flip: four(128),
            zero_point: zero_point.wrapping_add(128),
        }
    }
}

/// How many groups of four channels there is something to compute for: none unless inputs, weights and table
/// are there for all of them.
#[inline(always)]
fn groups(inputs: usize, weights: usize, table: usize, output: usize) -> usize {
    let enough = inputs.checked_mul(output).is_some_and(|needed| needed <= weights);
    if inputs > 0 && enough && output <= table { output } else { 0 }
}

/// The same in portable code: what the instructions must give.
#[cfg(not(all(target_arch = "arm", feature = "dsp")))]
mod twin {
    use super::{Limits, PairSums, groups, separate};
    use crate::chunks::Chunks;
    use crate::fixed::high_mul_round;

    /// Computes four output channels for each element of `output` from the same inputs: [`add_blocks`], then
    /// bias, requantization and range as `RequantizeI8` has them. `table` has bias, doubled multiplier and scale
    /// of each channel. Nothing is written unless weights and table are there for all.
    #[inline(always)]
    pub fn outputs(
        inputs: &[[i8; 4]],
        weights: &[[i32; 4]],
        table: &[[[i32; 3]; 4]],
        output: &mut [[i8; 4]],
        limits: &Limits,
    ) {
        let groups = groups(inputs.len(), weights.len(), table.len(), output.len());
        let output = output.iter_mut().take(groups);
        for ((out, table), weights) in output.zip(table).zip(weights.whole_chunks(inputs.len())) {
            let sums = separate(add_blocks([0; 4], inputs, weights));
            for ((out, sum), &[bias, multiplier, scale]) in out.iter_mut().zip(sums).zip(table) {
                let sum = sum.wrapping_add(bias);
                let high = high_mul_round(sum, multiplier).wrapping_add(sum);
                let scaled = high_mul_round(high.wrapping_add(high >> 31), scale);
                let byte = scaled.wrapping_add(limits.zero_point).clamp(0, 255) as u8;
                let low = limits.low as u8;
                let byte = byte.saturating_sub(low).saturating_add(limits.low_and_high as u8);
                *out = (byte.saturating_sub(limits.high as u8) ^ 0x80).cast_signed();
            }
        }
    }

    /// Adds the products of inputs, four a block, and the weights of four output channels.
    ///
    /// The four words of a block hold channels 0 and 1 at inputs 0 and 2, the same at inputs 1 and 3, then
    /// channels 2 and 3 likewise. Each half of a word is `256 * second + first`, so that one product adds to
    /// both channels of two inputs, and a second one, of the word's bytes 0 and 2, tells them apart
    /// ([`separate`]). Blocks that one of both slices lacks are left out. All sums wrap.
    #[inline(always)]
    pub fn add_blocks(mut sums: PairSums, inputs: &[[i8; 4]], weights: &[[i32; 4]]) -> PairSums {
        for ([x0, x1, x2, x3], words) in inputs.iter().zip(weights) {
            let even = [i32::from(*x0), i32::from(*x2)];
            let odd = [i32::from(*x1), i32::from(*x3)];
            for (word, inputs, both) in
                [(words[0], even, 0), (words[1], odd, 0), (words[2], even, 2), (words[3], odd, 2)]
            {
                let halves = [i32::from(word as i16), word >> 16];
                let firsts = [i32::from(word as i8), i32::from((word >> 16) as i8)];
                let (combined, alone) = if both == 0 { (0, 1) } else { (2, 3) };
                sums[combined] = dual(sums[combined], inputs, halves);
                sums[alone] = dual(sums[alone], inputs, firsts);
            }
        }
        sums
    }

    fn dual(sum: i32, [x0, x1]: [i32; 2], [w0, w1]: [i32; 2]) -> i32 {
        sum.wrapping_add(x0.wrapping_mul(w0)).wrapping_add(x1.wrapping_mul(w1))
    }
}

#[cfg(all(target_arch = "arm", feature = "dsp"))]
mod instructions {
    use super::{Limits, PairSums, groups};
    use crate::arch::taps::Taps;
    use core::arch::asm;

    /// 16 products of one block: inputs at r0, weights at r1, sums in r8 to r11.
    macro_rules! block {
        () => {
            "ldr r12, [r0], #4; \
             ldmia r1!, {{r2, r3, r4, r5}}; \
             sxtb16 lr, r12, ror #8; \
             sxtb16 r12, r12; \
             smlad r8, r12, r2, r8; \
             sxtb16 r2, r2; \
             smlad r10, r12, r4, r10; \
             sxtb16 r4, r4; \
             smlad r9, r12, r2, r9; \
             smlad r11, r12, r4, r11; \
             smlad r8, lr, r3, r8; \
             sxtb16 r3, r3; \
             smlad r10, lr, r5, r10; \
             sxtb16 r5, r5; \
             smlad r9, lr, r3, r9; \
             smlad r11, lr, r5, r11;"
        };
    }

    /// As its portable twin.
    #[inline(always)]
    pub fn add_blocks(sums: PairSums, inputs: &[[i8; 4]], weights: &[[i32; 4]]) -> PairSums {
        let blocks = inputs.len().min(weights.len());
        if blocks == 0 {
            return sums;
        }
        let [mut both, mut first, mut both_later, mut first_later] = sums;
        // SAFETY: `blocks` is not 0 and at most the length of both slices; each round reads one element
        // of each, 4 bytes at r0 and 16 at r1. `ldr` needs no alignment (the compiler itself relies on that
        // on these cores), `ldmia` needs that of a word, which the elements of `weights` have. r6 cannot be
        // named as an operand: it is saved and restored. Nothing is written but registers and the stack
        // below its pointer.
        unsafe {
            asm!(
                "push {{r6}}",
                "lsrs r6, r2, #1",
                // An odd number of blocks: the single one first.
                "bcc 2f",
                block!(),
                "cbz r6, 3f",
                "2:",
                block!(),
                block!(),
                "subs r6, r6, #1",
                "bne 2b",
                "3:",
                "pop {{r6}}",
                inout("r0") inputs.as_ptr() => _,
                inout("r1") weights.as_ptr() => _,
                inout("r2") blocks => _,
                out("r3") _,
                out("r4") _,
                out("r5") _,
                inout("r8") both,
                inout("r9") first,
                inout("r10") both_later,
                inout("r11") first_later,
                out("r12") _,
                out("lr") _,
                options(readonly),
            );
        }
        [both, first, both_later, first_later]
    }

    /// One output: bias, multiplier and scale at r7; `$sum` is added to the bias, as it is or, shifted, out of
    /// the two channels.
    macro_rules! requantize {
        ($sum:literal to $byte:literal) => {
            concat!(
                "ldmia r7!, {{r2, r3, r4}};",
                concat!("add r2, r2, ", $sum, ";"),
                "smmlar r2, r2, r3, r2;",
                "add r2, r2, r2, asr #31;",
                concat!("smmlar ", $byte, ", r2, r4, r12;"),
                concat!("usat ", $byte, ", #8, ", $byte, ";"),
            )
        };
    }

    /// As its portable twin.
    #[inline(always)]
    pub fn outputs(
        inputs: &[[i8; 4]],
        weights: &[[i32; 4]],
        table: &[[[i32; 3]; 4]],
        output: &mut [[i8; 4]],
        limits: &Limits,
    ) {
        let blocks = inputs.len();
        let groups = groups(blocks, weights.len(), table.len(), output.len());
        if groups == 0 {
            return;
        }
        // SAFETY: neither `blocks` nor `groups` is 0; a group reads `blocks` elements of `inputs` and as many of
        // `weights`, of which there are `blocks * groups`, one element of `table` and writes
        // one of `output`. `ldr` and `str` need no alignment (the compiler itself relies on that on
        // these cores), `ldmia` needs that of a word, which the elements of `weights`, `table` and `limits`
        // have. r6 and r7 cannot be named as operands: they are saved and restored. The stack pointer is where
        // it was at the end.
        unsafe {
            asm!(
                "push {{r6, r7}}",
                "mov r7, r3",
                // At sp: inputs, blocks, groups, output, limits.
                "push {{r0, r2, r4, r5, r12}}",
                "2:",
                "ldrd r0, r6, [sp]",
                "mov r8, #0",
                "mov r9, #0",
                "mov r10, #0",
                "mov r11, #0",
                "lsrs r6, r6, #1",
                // An odd number of blocks: the single one first.
                "bcc 3f",
                block!(),
                "cbz r6, 4f",
                "3:",
                block!(),
                block!(),
                "subs r6, r6, #1",
                "bne 3b",
                "4:",
                "ldr lr, [sp, #16]",
                "sub r0, r8, r9",
                "ldr r12, [lr, #16]",
                requantize!("r9" to "r9"),
                requantize!("r0, asr #8" to "r8"),
                "sub r0, r10, r11",
                "bfi r9, r8, #8, #8",
                requantize!("r11" to "r8"),
                "bfi r9, r8, #16, #8",
                requantize!("r0, asr #8" to "r8"),
                "ldmia lr, {{r2, r3, r4, r5}}",
                "bfi r9, r8, #24, #8",
                "uqsub8 r9, r9, r2",
                "uqadd8 r9, r9, r3",
                "uqsub8 r9, r9, r4",
                "eor r9, r9, r5",
                "ldrd r0, r2, [sp, #8]",
                "str r9, [r2], #4",
                "subs r0, r0, #1",
                "strd r0, r2, [sp, #8]",
                "bne 2b",
                "add sp, #20",
                "pop {{r6, r7}}",
                inout("r0") inputs.as_ptr() => _,
                inout("r1") weights.as_ptr() => _,
                inout("r2") blocks => _,
                inout("r3") table.as_ptr() => _,
                inout("r4") groups => _,
                inout("r5") output.as_mut_ptr() => _,
                inout("r12") limits => _,
                out("r8") _,
                out("r9") _,
                out("r10") _,
                out("r11") _,
                out("lr") _,
            );
        }
    }

    /// Four products: a tap at r0, the offset of its channels in r6, weights at r1, sums in r8 to r11.
    macro_rules! tap {
        () => {
            "ldr r2, [r0], #8; \
             ldr r3, [r1], #4; \
             ldr r2, [r2, r6]; \
             sxtb16 r4, r3; \
             sxtb16 r3, r3, ror #8; \
             sxtb16 r12, r2; \
             sxtb16 r2, r2, ror #8; \
             smlabb r8, r12, r4, r8; \
             smlabb r9, r2, r3, r9; \
             smlatt r10, r12, r4, r10; \
             smlatt r11, r2, r3, r11;"
        };
    }

    /// As [`requantize`], where the bias is in the sum.
    macro_rules! requantize_sum {
        ($sum:literal) => {
            concat!(
                "ldmia r7!, {{r2, r3, r4}};",
                concat!("smmlar r2, ", $sum, ", r3, ", $sum, ";"),
                "add r2, r2, r2, asr #31;",
                concat!("smmlar ", $sum, ", r2, r4, r12;"),
                concat!("usat ", $sum, ", #8, ", $sum, ";"),
            )
        };
    }

    /// Computes four output channels of a depthwise convolution for each element of `output`: the products of
    /// the taps from element `at` on and of `weights`, which hold four channels for each tap, group by group; then
    /// as [`outputs`]. Its portable form is the loop of `depthwise_conv2d`. Nothing is written unless inputs, weights
    /// and table are there for all.
    #[inline(always)]
    pub fn depthwise(
        taps: &Taps<'_, i8>,
        at: usize,
        weights: &[i8],
        table: &[[[i32; 3]; 4]],
        output: &mut [[i8; 4]],
        limits: &Limits,
    ) {
        let (runs, count, shortest) = taps.parts();
        let (weights, _) = weights.as_chunks::<4>();
        let groups = groups(count, weights.len(), table.len(), output.len());
        // `groups` elements of 48 bytes are there: four times as many do not overflow.
        let last = shortest.checked_sub(groups.wrapping_mul(4));
        if groups == 0 || last.is_none_or(|last| at > last) {
            return;
        }
        // SAFETY: neither `count` nor `groups` is 0. A group reads `count` runs of the table of taps, of each the
        // four elements from `at` plus four for each earlier group, which even the shortest has; as many
        // weights, of which there are `4 * count * groups`; one element of `table`; and writes one of `output`.
        // `ldr` and `str` need no alignment (the compiler itself relies on that on these cores), `ldmia` and
        // `ldrd` need that of a word, which `table`, `limits` and the stack have. r6 and r7 cannot be named as
        // operands: they are saved and restored. The stack pointer is where it was at the end.
        unsafe {
            asm!(
                "push {{r6, r7}}",
                "mov r7, r3",
                "mov r6, lr",
                // At sp: taps, count, groups, output, limits.
                "push {{r0, r2, r4, r5, r12}}",
                "2:",
                "ldrd r0, r5, [sp]",
                "ldr r8, [r7]",
                "ldr r9, [r7, #12]",
                "ldr r10, [r7, #24]",
                "ldr r11, [r7, #36]",
                "lsrs r5, r5, #1",
                // An odd number of taps: the single one first.
                "bcc 3f",
                tap!(),
                "cbz r5, 4f",
                "3:",
                tap!(),
                tap!(),
                "subs r5, r5, #1",
                "bne 3b",
                "4:",
                "ldr lr, [sp, #16]",
                "ldr r12, [lr, #16]",
                requantize_sum!("r8"),
                requantize_sum!("r9"),
                "bfi r8, r9, #8, #8",
                requantize_sum!("r10"),
                "bfi r8, r10, #16, #8",
                requantize_sum!("r11"),
                "ldmia lr, {{r2, r3, r4, r5}}",
                "bfi r8, r11, #24, #8",
                "uqsub8 r8, r8, r2",
                "uqadd8 r8, r8, r3",
                "uqsub8 r8, r8, r4",
                "eor r8, r8, r5",
                "ldrd r0, r2, [sp, #8]",
                "adds r6, r6, #4",
                "str r8, [r2], #4",
                "subs r0, r0, #1",
                "strd r0, r2, [sp, #8]",
                "bne 2b",
                "add sp, #20",
                "pop {{r6, r7}}",
                inout("r0") runs => _,
                inout("r1") weights.as_ptr() => _,
                inout("r2") count => _,
                inout("r3") table.as_ptr() => _,
                inout("r4") groups => _,
                inout("r5") output.as_mut_ptr() => _,
                inout("r12") limits => _,
                inout("lr") at => _,
                out("r8") _,
                out("r9") _,
                out("r10") _,
                out("r11") _,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn both_channels_come_out(
            inputs: Vec<[i8; 4]>,
            rows in prop::collection::vec(prop::array::uniform4(prop::array::uniform4(-127i8..)), 0..100),
        ) {
            let half = |first: i8, second: i8| (i32::from(second) * 256 + i32::from(first)) & 0xffff;
            let word = |a: [i8; 4], b: [i8; 4], at: usize| half(a[at], b[at]) | half(a[at + 2], b[at + 2]) << 16;
            let weights: Vec<[i32; 4]> = rows
                .iter()
                .map(|&[a, b, c, d]| [word(a, b, 0), word(a, b, 1), word(c, d, 0), word(c, d, 1)])
                .collect();
            let sum = |channel: usize| -> i32 {
                let products = inputs.iter().zip(&rows).flat_map(|(x, rows)| {
                    x.iter().zip(rows[channel]).map(|(&x, w)| i32::from(x) * i32::from(w))
                });
                products.sum()
            };
            let sums = separate(add_blocks([0; 4], &inputs, &weights));
            prop_assert_eq!(sums, [sum(0), sum(1), sum(2), sum(3)]);
        }
    }
}
