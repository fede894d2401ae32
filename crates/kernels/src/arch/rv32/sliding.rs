//! Depthwise windows of three by three that slide along a line of places, one channel at a time: weights stay in
//! registers, and each input is loaded once for each row of windows it is in.

use super::Finish;
use crate::Window;

/// Rows and columns of the window.
pub const SIDE: u32 = 3;

/// One axis of the places: along it windows slide, or from one line to the next.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Elements from one input to the next, and from one output to the next.
    input_step: usize,
    output_step: usize,
    /// Places.
    places: u32,
    /// From one window to the next: 1 or 2 inputs.
    stride: u32,
    /// Inputs of padding: before the first window none or one, behind the last none or one.
    before: u32,
    behind: u32,
}

impl Axis {
    /// `None` when windows reach farther into the padding, or there is nothing to compute.
    #[inline(always)]
    fn new(
        inputs: u32,
        places: u32,
        stride: u32,
        before: u32,
        (input_step, output_step): (usize, usize),
    ) -> Option<Self> {
        let last = places.checked_sub(1)?.checked_mul(stride)?.checked_add(SIDE)?;
        let behind = last.saturating_sub(inputs.checked_add(before)?);
        let near = before <= 1 && behind <= 1 && inputs > 0 && (1..=2).contains(&stride);
        near.then_some(Self { input_step, output_step, places, stride, before, behind })
    }
}

/// Places of all channels of an image.
#[derive(Clone, Copy, Debug)]
pub struct Sliding {
    /// From line to line.
    across: Axis,
    /// Along a line.
    along: Axis,
    input_len: usize,
    output_len: usize,
    channels: usize,
}

impl Sliding {
    /// Whether windows slide down the columns, which are longer than the rows: their weights are then
    /// transposed.
    #[inline(always)]
    pub fn down(window: &Window) -> bool {
        window.out_height > window.out_width
    }

    /// `None` for windows that are not three by three, go farther than two inputs at a time, or have more than
    /// one input of padding at a side.
    #[inline(always)]
    pub fn new(window: &Window, channels: usize) -> Option<Self> {
        Self::along(window, channels, Self::down(window))
    }

    /// As [`Sliding::new`], down the columns or along the rows.
    #[inline(always)]
    pub fn along(window: &Window, channels: usize, down: bool) -> Option<Self> {
        let line = (window.in_width as usize).checked_mul(channels)?;
        let out_line = (window.out_width as usize).checked_mul(channels)?;
        let rows = Axis::new(
            window.in_height,
            window.out_height,
            window.stride_height,
            window.pad_top,
            (line, out_line),
        )?;
        let columns = Axis::new(
            window.in_width,
            window.out_width,
            window.stride_width,
            window.pad_left,
            (channels, channels),
        )?;
        let sides = [window.height, window.width] == [SIDE; 2];
        let dense = [window.dilation_height, window.dilation_width] == [1; 2];
        let (across, along) = if down { (columns, rows) } else { (rows, columns) };
        (sides && dense).then_some(Self {
            across,
            along,
            input_len: (window.in_height as usize).checked_mul(line)?,
            output_len: (window.out_height as usize).checked_mul(out_line)?,
            channels,
        })
    }

    /// Elements of an image, and of its outputs.
    #[inline(always)]
    pub fn lengths(&self) -> (usize, usize) {
        (self.input_len, self.output_len)
    }
}

/// Computes all outputs of an image; `weights` are nine for each channel, those of a line of the window side by
/// side, `table` is as for [`super::outputs`], `zero` stands for the padding.
///
/// Nothing is written when something is not there.
#[inline(never)]
pub fn depthwise(
    sliding: &Sliding,
    input: &[i8],
    weights: &[i8],
    table: &[[i32; 3]],
    output: &mut [i8],
    zero: i32,
    finish: &Finish,
) {
    let (weights, _) = weights.as_chunks::<9>();
    let channels = sliding.channels;
    if input.len() != sliding.input_len
        || output.len() != sliding.output_len
        || weights.len() < channels
        || table.len() < channels
        || channels == 0
    {
        return;
    }
    #[cfg(all(target_arch = "riscv32", feature = "rv32"))]
    instructions::depthwise(sliding, input, weights, table, output, zero, finish);
    #[cfg(not(all(target_arch = "riscv32", feature = "rv32")))]
    twin::depthwise(sliding, input, weights, table, output, zero, finish);
}

/// The same in portable code: what the instructions must give.
#[cfg(not(all(target_arch = "riscv32", feature = "rv32")))]
mod twin {
    use super::{Finish, SIDE, Sliding};
    use crate::arch::rv32::twin::finished;

    /// See [`super::depthwise`].
    pub(super) fn depthwise(
        sliding: &Sliding,
        input: &[i8],
        weights: &[[i8; 9]],
        table: &[[i32; 3]],
        output: &mut [i8],
        zero: i32,
        finish: &Finish,
    ) {
        let Sliding { across, along, .. } = sliding;
        // The element of an input, when it is inside: numbers wrap where they are in the padding before.
        let element = |axis: &super::Axis, inputs: u32, place: u32, tap: u32| {
            let at = place.wrapping_mul(axis.stride).wrapping_add(tap).wrapping_sub(axis.before);
            (at < inputs).then(|| (at as usize).wrapping_mul(axis.input_step))
        };
        let inputs = |axis: &super::Axis| {
            let last = axis.places.wrapping_sub(1).wrapping_mul(axis.stride);
            last.wrapping_add(SIDE).wrapping_sub(axis.before).wrapping_sub(axis.behind)
        };
        let (lines, columns) = (inputs(across), inputs(along));
        for ((channel, weights), &words) in
            weights.iter().enumerate().zip(table).take(sliding.channels)
        {
            for line in 0..across.places {
                for place in 0..along.places {
                    let mut sum = 0i32;
                    let (lines_of, _) = weights.as_chunks::<3>();
                    for (tap_line, weights) in (0..SIDE).zip(lines_of) {
                        for (tap, &weight) in (0..SIDE).zip(weights) {
                            let at = element(across, lines, line, tap_line)
                                .zip(element(along, columns, place, tap));
                            let value = at.and_then(|(line, column)| {
                                input.get(line.wrapping_add(column).wrapping_add(channel))
                            });
                            let value = value.map_or(zero, |&value| i32::from(value));
                            sum = sum.wrapping_add(value.wrapping_mul(i32::from(weight)));
                        }
                    }
                    let at = (line as usize)
                        .wrapping_mul(across.output_step)
                        .wrapping_add((place as usize).wrapping_mul(along.output_step));
                    if let Some(out) = output.get_mut(at.wrapping_add(channel)) {
                        *out = finished(sum, words, finish);
                    }
                }
            }
        }
    }
}

#[cfg(all(target_arch = "riscv32", feature = "rv32"))]
mod instructions {
    use super::{Finish, Sliding};
    use crate::arch::rv32::instructions::{enter, extensions, leave};
    use core::arch::naked_asm;

    /// What the loops below keep in memory.
    #[repr(C)]
    struct Call {
        /// The inputs under the middle of the first window of the channel that is next.
        middle: *const i8,
        weights: *const [i8; 9],
        table: *const [i32; 3],
        output: *mut i8,
        /// Channels that are left.
        channels: usize,
        /// Between the lines of a window, and from a line of windows to the next.
        line: usize,
        line_step: usize,
        output_line: usize,
        lines: usize,
        /// Padding before the first line and behind the last.
        above: usize,
        below: usize,
        /// Between the inputs of a line, and between the outputs.
        step: usize,
        output_step: usize,
        /// How far the outputs go that end in the input.
        inner: usize,
        /// Padding before the first of a line and behind the last.
        before: usize,
        behind: usize,
        zero: i32,
        odd: i32,
        min: i32,
        max: i32,
    }

    /// The inputs of a column: three lines at t0 to t2, which go on by t4.
    macro_rules! column {
        () => {
            "lb a0, 0(t0); lb a1, 0(t1); lb a2, 0(t2); add t0, t0, t4; add t1, t1, t4; add t2, t2, t4;"
        };
    }

    /// `$to = $from +` the products of a column and its weights.
    macro_rules! add_column {
        ($to:literal, $from:literal, $w0:literal, $w1:literal, $w2:literal) => {
            concat!(
                "mul a5, a0, ",
                $w0,
                "; add ",
                $to,
                ", ",
                $from,
                ", a5;",
                "mul a5, a1, ",
                $w1,
                "; add ",
                $to,
                ", ",
                $to,
                ", a5;",
                "mul a5, a2, ",
                $w2,
                "; add ",
                $to,
                ", ",
                $to,
                ", a5;",
            )
        };
    }

    /// a4: the products of the first column of a window.
    macro_rules! first_column {
        () => {
            "mul a4, a0, s0; mul a5, a1, s3; add a4, a4, a5; mul a5, a2, s6; add a4, a4, a5;"
        };
    }

    /// The sum in a3, times four, as an output at t3, which goes on.
    macro_rules! finish {
        () => {
            "add a3, a3, a6; mulh a3, a3, a7; \
             bltz a3, 31f; \
             add a3, a3, s10; sra a3, a3, s9; bge s11, a3, 33f; mv a3, s11; j 33f; \
             31: add a3, a3, s10; addi a3, a3, -2; sra a3, a3, s9; bge a3, ra, 33f; mv a3, ra; \
             33: sb a3, 0(t3); add t3, t3, t6;"
        };
    }

    /// The body of both functions: what a line starts with behind its first column, what one round is, and what
    /// is done for the last output when it ends in the padding.
    ///
    /// Registers: weights, times four, in s0 to s8; bias, times four, in a6, multiplier in a7, shift and one in s9,
    /// what is added to positive values in s10, the range in ra and s11.
    macro_rules! slide {
        ($start:expr, $round:expr, $end:expr) => {
            naked_asm!(
                extensions!(),
                // At 0: bias; 4: lines left; 8: middle line; 12: output; 16: padding above.
                enter!(80),
                "sw s11, 20(sp);",
                // One channel.
                "2:",
                "lw t6, 20(sp);",
                "lw t0, 4(t6); lw t1, 8(t6);",
                "lb s0, 0(t0); lb s1, 1(t0); lb s2, 2(t0); lb s3, 3(t0); lb s4, 4(t0);",
                "lb s5, 5(t0); lb s6, 6(t0); lb s7, 7(t0); lb s8, 8(t0);",
                "lw a6, 0(t1); lw a7, 4(t1); lw s9, 8(t1);",
                "slli s0, s0, 2; slli s1, s1, 2; slli s2, s2, 2; slli s3, s3, 2; slli s4, s4, 2;",
                "slli s5, s5, 2; slli s6, s6, 2; slli s7, s7, 2; slli s8, s8, 2;",
                "addi t0, t0, 9; addi t1, t1, 12; sw t0, 4(t6); sw t1, 8(t6);",
                "lw s10, 68(t6); lw ra, 72(t6); lw s11, 76(t6);",
                "slli a6, a6, 2; sll s10, s10, s9; addi s10, s10, 1; addi s9, s9, 1;",
                "sw a6, 0(sp);",
                "lw t1, 0(t6); lw t3, 12(t6); lw a1, 32(t6); lw a0, 36(t6); lw a2, 16(t6);",
                "sw t1, 8(sp); sw t3, 12(sp); sw a1, 4(sp); sw a0, 16(sp);",
                "addi t1, t1, 1; addi t3, t3, 1; addi a2, a2, -1;",
                "sw t1, 0(t6); sw t3, 12(t6); sw a2, 16(t6);",
                // One line.
                "3:",
                "lw t6, 20(sp); lw t1, 8(sp); lw t3, 12(sp); lw a0, 20(t6); lw a1, 16(sp); lw a2, 4(sp);",
                "lw t4, 44(t6); lw t5, 52(t6); lw a4, 56(t6);",
                "add t5, t5, t3; sub t0, t1, a0; add t2, t1, a0;",
                // What is in the padding above: its products are the same for all places, and go to the bias.
                "beqz a1, 4f;",
                "sw zero, 16(sp); lw a1, 64(t6); mv t0, t1;",
                "add a5, s0, s1; add a5, a5, s2; mul a5, a5, a1; add a6, a6, a5; li s0, 0; li s1, 0; li s2, 0;",
                "4:",
                "addi a2, a2, -1; sw a2, 4(sp); bnez a2, 5f;",
                "lw a2, 40(t6); beqz a2, 5f;",
                "lw a1, 64(t6); mv t2, t1;",
                "add a5, s6, s7; add a5, a5, s8; mul a5, a5, a1; add a6, a6, a5; li s6, 0; li s7, 0; li s8, 0;",
                "5:",
                "beqz a4, 6f;",
                "lw a1, 64(t6); add a5, s0, s3; add a5, a5, s6; mul a4, a5, a1; j 7f;",
                "6:",
                column!(),
                first_column!(),
                "7:",
                "lw t6, 48(t6);",
                $start,
                "beq t3, t5, 9f;",
                "8:",
                $round,
                "bne t3, t5, 8b;",
                "9:",
                "lw a2, 20(sp); lw a1, 60(a2); beqz a1, 10f;",
                $end,
                "10:",
                "lw t6, 20(sp); lw a2, 4(sp);",
                "lw t1, 8(sp); lw t3, 12(sp); lw a0, 24(t6); lw a1, 28(t6);",
                "add t1, t1, a0; add t3, t3, a1; sw t1, 8(sp); sw t3, 12(sp);",
                "lw a3, 36(t6); beqz a3, 11f;",
                // The first line of weights again, which may have been in the padding.
                "lw a6, 0(sp); lw t0, 4(t6);",
                "lb s0, -9(t0); lb s1, -8(t0); lb s2, -7(t0);",
                "slli s0, s0, 2; slli s1, s1, 2; slli s2, s2, 2;",
                "11:",
                "bnez a2, 3b;",
                "lw a2, 16(t6); bnez a2, 2b;",
                leave!(80),
                ".option pop;",
            )
        };
    }

    /// Windows that slide by one input.
    ///
    /// # Safety
    /// See [`depthwise`]: `call` is made there.
    #[unsafe(naked)]
    unsafe extern "C" fn by_one(call: *mut Call) {
        slide!(
            concat!(column!(), add_column!("a3", "a4", "s1", "s4", "s7"), first_column!()),
            concat!(
                column!(),
                add_column!("a3", "a3", "s2", "s5", "s8"),
                finish!(),
                add_column!("a3", "a4", "s1", "s4", "s7"),
                first_column!(),
            ),
            concat!(
                "lw a1, 64(a2); add a5, s2, s5; add a5, a5, s8; mul a5, a5, a1; add a3, a3, a5;",
                finish!(),
            )
        )
    }

    /// Windows that slide by two inputs.
    ///
    /// # Safety
    /// See [`depthwise`]: `call` is made there.
    #[unsafe(naked)]
    unsafe extern "C" fn by_two(call: *mut Call) {
        slide!(
            "",
            concat!(
                column!(),
                add_column!("a4", "a4", "s1", "s4", "s7"),
                column!(),
                add_column!("a3", "a4", "s2", "s5", "s8"),
                first_column!(),
                finish!(),
            ),
            concat!(
                column!(),
                add_column!("a3", "a4", "s1", "s4", "s7"),
                "lw a2, 20(sp);",
                "lw a1, 64(a2); add a5, s2, s5; add a5, a5, s8; mul a5, a5, a1; add a3, a3, a5;",
                finish!(),
            )
        )
    }

    #[inline(always)]
    pub(super) fn depthwise(
        sliding: &Sliding,
        input: &[i8],
        weights: &[[i8; 9]],
        table: &[[i32; 3]],
        output: &mut [i8],
        zero: i32,
        finish: &Finish,
    ) {
        let Sliding { across, along, channels, .. } = sliding;
        let (above, before) = (across.before as usize, along.before as usize);
        // The middle line of the first line of windows is the first one when there is padding above.
        let middle =
            input.as_ptr().wrapping_add(across.input_step.wrapping_mul(1usize.wrapping_sub(above)));
        let inner = (along.places as usize).wrapping_sub(along.behind as usize);
        let mut call = Call {
            middle,
            weights: weights.as_ptr(),
            table: table.as_ptr(),
            output: output.as_mut_ptr(),
            channels: *channels,
            line: across.input_step,
            line_step: across.input_step.wrapping_mul(across.stride as usize),
            output_line: across.output_step,
            lines: across.places as usize,
            above,
            below: across.behind as usize,
            step: along.input_step,
            output_step: along.output_step,
            inner: inner.wrapping_mul(along.output_step),
            before,
            behind: along.behind as usize,
            zero,
            odd: finish.odd,
            min: finish.min,
            max: finish.max,
        };
        // SAFETY: there is at least one channel, one line and one place, and for each channel nine weights and
        // an element of the table. `Axis::new` has seen that windows reach at most one input into the padding:
        // a line of a window there is replaced by the middle one, whose weights are 0 then, and columns there are
        // not loaded, so that all that is read is in `input`; `inner` places of each line end in the input,
        // and one more does not where `behind` says so: `output` has all of them.
        unsafe { if along.stride == 1 { by_one(&raw mut call) } else { by_two(&raw mut call) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bytes, naive_sum, requantize};
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn sliding_windows_are_the_plain_sum(
            (in_height, in_width, stride_height, stride_width) in (1u32..9, 1u32..9, 1u32..3, 1u32..3),
            (pad_top, pad_left, pad_bottom, pad_right) in (0u32..2, 0u32..2, 0u32..2, 0u32..2),
            channels in 1usize..5,
            zero: i8,
            seed: u64,
        ) {
            let places = |len: u32, stride: u32| len.checked_sub(3).map(|rest| rest / stride + 1);
            let height = places(in_height + pad_top + pad_bottom, stride_height);
            let width = places(in_width + pad_left + pad_right, stride_width);
            let (Some(out_height), Some(out_width)) = (height, width) else { return Ok(()) };
            let window = Window {
                in_height, in_width, out_height, out_width, height: 3, width: 3, stride_height,
                stride_width, dilation_height: 1, dilation_width: 1, pad_top, pad_left,
            };
            let input = bytes(seed, (in_height * in_width) as usize * channels);
            let rows = bytes(!seed, 9 * channels);
            let table: Vec<[i32; 3]> = (0..channels)
                .map(|c| [c as i32 * 1000 - 1500, (1 << 30) + c as i32 * 12_345_678, 5 + c as i32])
                .collect();
            let mut expected = Vec::new();
            for place in 0..(out_height * out_width) as usize {
                for channel in 0..channels {
                    let term = |tap: usize, pixel: Option<&[i8]>| {
                        let value = pixel.map_or(zero, |pixel| pixel[channel]);
                        i32::from(value) * i32::from(rows[channel * 9 + tap])
                    };
                    let sum = naive_sum(&window, &input, channels, place, term);
                    let [bias, multiplier, right] = table[channel];
                    expected.push(requantize(sum, &[bias, multiplier, -right], -5, -120, 100));
                }
            }
            let sliding = Sliding::new(&window, channels).unwrap();
            let weights: Vec<i8> = if Sliding::down(&window) {
                let taps = [0, 3, 6, 1, 4, 7, 2, 5, 8];
                rows.chunks(9).flat_map(|row| taps.map(|tap| row[tap])).collect()
            } else {
                rows
            };
            let finish = Finish::new(-5, -120, 100);
            let mut output = std::vec![0; expected.len()];
            depthwise(&sliding, &input, &weights, &table, &mut output, zero.into(), &finish);
            prop_assert_eq!(output, expected);
        }
    }
}
