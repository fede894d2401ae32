//! The loops of [`super`] in RV32IM instructions.

use super::ones::{eights, fours};
use super::{CHANNELS, FEWER, Layer, Moved, PLACES, Run, write};
use crate::chunks::Chunks;
use core::arch::naked_asm;

/// What the loops below keep in memory.
#[repr(C)]
pub(super) struct Call {
    weights: *const i8,
    runs: *const Run,
    runs_end: *const Run,
    table: *const [i32; 3],
    output: [*mut i8; PLACES],
    /// Groups of channels that are left.
    groups: usize,
    odd: i32,
    min: i32,
    max: i32,
    /// Sums of earlier runs, three for each of eight channels, all zero between two groups; null unless sums are
    /// long.
    carried: *mut [i32; PLACES],
    /// Where in a run the address of the place's inputs is, for one place.
    place: usize,
    /// How far runs are moved on from line to line, and the number of lines.
    line_step: usize,
    lines: usize,
    /// Inputs after which sums are carried, where they are.
    longest: usize,
}

/// The assembler of naked functions does not know what the compiler's target has.
macro_rules! extensions {
    () => {
        ".option push; .option arch, +m, +c;"
    };
}

/// Saves what a function must in a frame of so many bytes.
macro_rules! enter {
    ($frame:literal) => {
        concat!(
            "addi sp, sp, -",
            $frame,
            ";",
            "sw ra, ",
            $frame,
            "-4(sp); sw s0, ",
            $frame,
            "-8(sp); sw s1, ",
            $frame,
            "-12(sp); sw s2, ",
            $frame,
            "-16(sp); sw s3, ",
            $frame,
            "-20(sp); sw s4, ",
            $frame,
            "-24(sp); sw s5, ",
            $frame,
            "-28(sp); sw s6, ",
            $frame,
            "-32(sp); sw s7, ",
            $frame,
            "-36(sp); sw s8, ",
            $frame,
            "-40(sp); sw s9, ",
            $frame,
            "-44(sp); sw s10, ",
            $frame,
            "-48(sp); sw s11, ",
            $frame,
            "-52(sp); mv s11, a0;",
        )
    };
}

macro_rules! leave {
    ($frame:literal) => {
        concat!(
            "lw ra, ",
            $frame,
            "-4(sp); lw s0, ",
            $frame,
            "-8(sp); lw s1, ",
            $frame,
            "-12(sp); lw s2, ",
            $frame,
            "-16(sp); lw s3, ",
            $frame,
            "-20(sp); lw s4, ",
            $frame,
            "-24(sp); lw s5, ",
            $frame,
            "-28(sp); lw s6, ",
            $frame,
            "-32(sp); lw s7, ",
            $frame,
            "-36(sp); lw s8, ",
            $frame,
            "-40(sp); lw s9, ",
            $frame,
            "-44(sp); lw s10, ",
            $frame,
            "-48(sp); lw s11, ",
            $frame,
            "-52(sp); addi sp, sp, ",
            $frame,
            "; ret;"
        )
    };
}

/// One input of three places, at a1 to a3, times the weights of eight channels, at a0, all moved by constants;
/// sums in s2 to s9 and in a4 to a7, t3 to t6.
macro_rules! three {
    ($input:literal, $weights:literal) => {
        concat!(
            "lb t2, ",
            $input,
            "(a2); lb t1, ",
            $input,
            "(a3); lb t0, ",
            $input,
            "(a1);",
            "slli t2, t2, 11; add t1, t1, t2; slli t2, t2, 10; add t0, t0, t2;",
            pair!($weights, 0, "s2", "a4", "s3", "a5"),
            pair!($weights, 2, "s4", "a6", "s5", "a7"),
            pair!($weights, 4, "s6", "t3", "s7", "t4"),
            pair!($weights, 6, "s8", "t5", "s9", "t6"),
        )
    };
}

/// Two channels of [`three`].
macro_rules! pair {
    ($weights:literal, $channel:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "lb s1, ",
            $weights,
            "+",
            $channel,
            "(a0); lb s10, ",
            $weights,
            "+",
            $channel,
            "+1(a0);",
            product!("t2", "s1", "t0", $a),
            product!("s1", "s1", "t1", $b),
            product!("t2", "s10", "t0", $c),
            product!("s10", "s10", "t1", $d),
        )
    };
}

macro_rules! product {
    ($to:literal, $weight:literal, $input:literal, $sum:literal) => {
        concat!(
            "mul ", $to, ", ", $weight, ", ", $input, "; add ", $sum, ", ", $sum, ", ", $to, ";"
        )
    };
}

/// The two words in t0 and t1 as three sums times four, in s0, s2 and s1.
macro_rules! separate {
    () => {
        "slli s0, t0, 11; slli s1, t1, 10; srai s0, s0, 9; \
         srai t2, s0, 2; sub t0, t0, t2; srli t2, t0, 10; sub t1, t1, t2; \
         slli s1, t1, 10; srai s1, s1, 8; \
         srai t2, s1, 2; sub t1, t1, t2; srai t1, t1, 9; srli t0, t0, 19; add s2, t1, t0;"
    };
}

/// The output of a sum times four: four times the bias in t0, multiplier in t1, shift and one in t2, what is added
/// to positive values in t3 and to negative ones in t4; range in a6 and a7.
macro_rules! finish {
    ($sum:literal, $at:literal, $output:literal) => {
        concat!(
            "add ",
            $sum,
            ", ",
            $sum,
            ", t0;",
            "mulh ",
            $sum,
            ", ",
            $sum,
            ", t1;",
            "bltz ",
            $sum,
            ", 31f;",
            "add ",
            $sum,
            ", ",
            $sum,
            ", t3;",
            "sra ",
            $sum,
            ", ",
            $sum,
            ", t2;",
            "bge a7, ",
            $sum,
            ", 33f;",
            "mv ",
            $sum,
            ", a7;",
            "j 33f;",
            "31: add ",
            $sum,
            ", ",
            $sum,
            ", t4;",
            "sra ",
            $sum,
            ", ",
            $sum,
            ", t2;",
            "bge ",
            $sum,
            ", a6, 33f;",
            "mv ",
            $sum,
            ", a6;",
            "33: sb ",
            $sum,
            ", ",
            $at,
            "(",
            $output,
            ");",
        )
    };
}

/// One channel of three places: its words at a0, bias, multiplier and shift at a1, all moved by constants.
macro_rules! channel {
    ($at:literal, $words:literal, $table:literal) => {
        concat!(
            "lw t0, ",
            $words,
            "(a0); lw t1, ",
            $words,
            "+4(a0);",
            separate!(),
            "beqz s10, 21f;",
            "lw t0, 0(s10); lw t1, 4(s10); lw t2, 8(s10);",
            "sw zero, 0(s10); sw zero, 4(s10); sw zero, 8(s10);",
            "add s0, s0, t0; add s2, s2, t1; add s1, s1, t2; addi s10, s10, 12;",
            "21: lw t2, ",
            $table,
            "+8(a1); lw t0, ",
            $table,
            "(a1); lw t1, ",
            $table,
            "+4(a1);",
            "sll t3, a5, t2; slli t0, t0, 2; addi t4, t3, -1; addi t3, t3, 1; addi t2, t2, 1;",
            finish!("s0", $at, "a2"),
            finish!("s2", $at, "a3"),
            finish!("s1", $at, "a4"),
        )
    };
}

/// Puts the sums of eight channels on the stack, the two words of a channel side by side.
macro_rules! spill {
    () => {
        "sw s2, 0(sp); sw a4, 4(sp); sw s3, 8(sp); sw a5, 12(sp); \
         sw s4, 16(sp); sw a6, 20(sp); sw s5, 24(sp); sw a7, 28(sp); \
         sw s6, 32(sp); sw t3, 36(sp); sw s7, 40(sp); sw t4, 44(sp); \
         sw s8, 48(sp); sw t5, 52(sp); sw s9, 56(sp); sw t6, 60(sp);"
    };
}

/// Sums of eight channels that are 0.
macro_rules! zero {
    () => {
        "li s2, 0; li s3, 0; li s4, 0; li s5, 0; li s6, 0; li s7, 0; li s8, 0; li s9, 0; \
         li a4, 0; li a5, 0; li a6, 0; li a7, 0; li t3, 0; li t4, 0; li t5, 0; li t6, 0;"
    };
}

pub(super) use {channel, enter, extensions, finish, leave, product, separate, zero};

/// Groups of eight channels of three places.
///
/// # Safety
/// `call.groups`, `call.lines` and the number of runs, none of which is empty, are not 0. Each group reads as many
/// times eight weights as the runs of all lines have elements, and eight elements of the table, and writes eight
/// of each output.
#[unsafe(naked)]
unsafe extern "C" fn threes(call: *mut Call) {
    naked_asm!(
        extensions!(),
        // On the stack, at 64: where single inputs end; 68: lines that are left; 72: how far runs are moved on;
        // 76: inputs of the run that are left.
        enter!(144),
        // One group.
        "2:",
        "lw a0, 0(s11); li t0, 0; lw t1, 56(s11); lw ra, 4(s11);",
        "sw t0, 72(sp); sw t1, 68(sp);",
        zero!(),
        // One run.
        "3:",
        "lw a1, 0(ra); lw a2, 4(ra); lw a3, 8(ra); lw s10, 12(ra); lw t1, 72(sp);",
        "addi ra, ra, 16;",
        "add a1, a1, t1; add a2, a2, t1; add a3, a3, t1;",
        // As much of it as there is room for.
        "30:",
        "lw s0, 60(s11); bltu s0, s10, 31f; mv s0, s10;",
        "31: sub s10, s10, s0; sw s10, 76(sp);",
        "andi t0, s0, 3; add s0, s0, a1;",
        "beqz t0, 5f;",
        // What is no whole round of four, one by one.
        "add t0, t0, a1; sw t0, 64(sp);",
        "4:",
        three!(0, 0),
        "lw t0, 64(sp);",
        "addi a1, a1, 1; addi a2, a2, 1; addi a3, a3, 1; addi a0, a0, 8; bne a1, t0, 4b;",
        "beq a1, s0, 6f;",
        "5:",
        three!(0, 0),
        three!(1, 8),
        three!(2, 16),
        three!(3, 24),
        "addi a1, a1, 4; addi a2, a2, 4; addi a3, a3, 4; addi a0, a0, 32; bne a1, s0, 5b;",
        "6:",
        "lw s10, 76(sp); lw t0, 8(s11); bnez s10, 7f; bne ra, t0, 7f;",
        "lw t0, 68(sp); addi t0, t0, -1; sw t0, 68(sp); bnez t0, 60f;",
        "sw a0, 0(s11);",
        spill!(),
        "mv a0, sp; lw a1, 12(s11); lw a2, 16(s11); lw a3, 20(s11); lw a4, 24(s11);",
        "lw a5, 32(s11); lw a6, 36(s11); lw a7, 40(s11); lw s10, 44(s11); addi s9, sp, 64;",
        "9:",
        channel!(0, 0, 0),
        channel!(1, 8, 12),
        "addi a0, a0, 16; addi a1, a1, 24; addi a2, a2, 2; addi a3, a3, 2; addi a4, a4, 2;",
        "bne a0, s9, 9b;",
        "sw a1, 12(s11); sw a2, 16(s11); sw a3, 20(s11); sw a4, 24(s11);",
        "lw t0, 28(s11); addi t0, t0, -1; sw t0, 28(s11); bnez t0, 2b;",
        leave!(144),
        // Another line.
        "60:",
        "lw t0, 72(sp); lw t1, 52(s11); lw ra, 4(s11); add t0, t0, t1; sw t0, 72(sp);",
        // More of the run or another one: sums that are long are carried.
        "7:",
        "lw t0, 44(s11); beqz t0, 71f;",
        spill!(),
        "mv a5, t0; mv a4, sp; addi s9, sp, 64;",
        "8:",
        "lw t0, 0(a4); lw t1, 4(a4);",
        separate!(),
        "lw t0, 0(a5); lw t1, 4(a5); lw t2, 8(a5);",
        "add s0, s0, t0; add s2, s2, t1; add s1, s1, t2;",
        "sw s0, 0(a5); sw s2, 4(a5); sw s1, 8(a5);",
        "addi a5, a5, 12; addi a4, a4, 8; bne a4, s9, 8b;",
        zero!(),
        "71:",
        "bnez s10, 30b;",
        "j 3b; .option pop;",
    )
}

#[inline(always)]
pub(super) fn outputs(layer: &Layer<'_>, runs: Moved<'_>, output: &mut [i8], one: bool) {
    let range = runs.runs.as_ptr_range();
    let channels = layer.channels;
    let places: usize = match output.len().checked_sub(channels) {
        Some(0) => 1,
        _ if one => return,
        Some(more) if more == channels => 2,
        Some(more) if more == channels.wrapping_mul(2) => 3,
        _ => return,
    };
    let first = output.as_mut_ptr();
    let last = places.wrapping_sub(1).wrapping_mul(channels);
    let mut call = Call {
        weights: layer.weights.as_ptr(),
        runs: range.start,
        runs_end: range.end,
        table: layer.table.as_ptr(),
        // A third place that is missing is written to where the second one is, by its very inputs.
        output: [first, first.wrapping_add(channels.min(last)), first.wrapping_add(last)],
        groups: channels / CHANNELS,
        odd: layer.finish.odd,
        min: layer.finish.min,
        max: layer.finish.max,
        carried: core::ptr::null_mut(),
        place: 0,
        line_step: runs.lines.step,
        lines: runs.lines.count,
        longest: if layer.longest > 0 { layer.longest } else { usize::MAX },
    };
    if call.groups != 0 {
        // SAFETY: `Moved` has at least one run and none that is empty; each has as many elements behind it as
        // all lines say. The caller has seen that weights and table are there for all channels,
        // filled up to fours, and each output has `groups` times eight elements. Nothing of it overlaps `call`.
        unsafe {
            if places == 1 {
                eights(&raw mut call);
            } else if layer.longest > 0 {
                long_threes(&raw mut call);
            } else {
                threes(&raw mut call);
            }
        }
    }
    if !channels.is_multiple_of(CHANNELS) {
        rest(&mut call, channels, output);
    }
}

/// As [`threes`], with a place for what is carried.
#[inline(never)]
unsafe fn long_threes(call: *mut Call) {
    let mut carried = [[0; PLACES]; CHANNELS];
    // SAFETY: as for [`threes`]; `carried` outlives the call.
    unsafe {
        (*call).carried = carried.as_mut_ptr();
        threes(call);
    }
}

/// The channels that groups of eight leave over, place by place.
#[inline(never)]
fn rest(call: &mut Call, channels: usize, output: &mut [i8]) {
    let (weights, table) = (call.weights, call.table);
    let done = channels.wrapping_sub(channels % CHANNELS);
    call.place = 0;
    for out in output.whole_chunks_mut(channels) {
        let (_, rest) = out.split_at_mut_checked(done).unwrap_or_default();
        let (in_fours, last) = rest.as_chunks_mut::<FEWER>();
        (call.weights, call.table) = (weights, table);
        if !in_fours.is_empty() {
            call.groups = in_fours.len();
            call.output[0] = in_fours.as_mut_ptr().cast();
            // SAFETY: as in [`outputs`], the only caller; weights and table are where the groups of eight end,
            // and `place` is that of one of the three places.
            unsafe { fours(call) };
        }
        if !last.is_empty() {
            let mut values = [0; FEWER];
            call.groups = 1;
            call.output[0] = values.as_mut_ptr();
            // SAFETY: as above; weights and table go on for four channels, and so does `values`.
            unsafe { fours(call) };
            write(last, &values);
        }
        call.place = call.place.wrapping_add(size_of::<*const i8>());
    }
}
