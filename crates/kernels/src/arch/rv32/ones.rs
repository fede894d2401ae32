//! Loops over one output place in RV32IM instructions: channels by eight and by four, and those of depthwise
//! windows.

use super::instructions::{Call, enter, extensions, leave, product};
use super::{FEWER, Finish};
use crate::arch::taps::Taps;
use core::arch::naked_asm;

/// Two channels of one place: the input in t0, weights at a0, moved by a constant.
macro_rules! single {
    ($weights:literal, $channel:literal, $a:literal, $b:literal) => {
        concat!(
            "lb t1, ",
            $weights,
            "+",
            $channel,
            "(a0); lb t2, ",
            $weights,
            "+",
            $channel,
            "+1(a0);",
            product!("t1", "t1", "t0", $a),
            product!("t2", "t2", "t0", $b),
        )
    };
}

macro_rules! eight {
    ($input:literal, $weights:literal) => {
        concat!(
            four!($input, $weights),
            single!($weights, 4, "s6", "s7"),
            single!($weights, 6, "s8", "s9"),
        )
    };
}

macro_rules! four {
    ($input:literal, $weights:literal) => {
        concat!(
            "lb t0, ",
            $input,
            "(a1);",
            single!($weights, 0, "s2", "s3"),
            single!($weights, 2, "s4", "s5"),
        )
    };
}

/// One output of one place: its sum at a0, bias, multiplier and shift at a1, all moved by constants.
macro_rules! alone {
    ($at:literal) => {
        concat!(
            "lw t3, 12*",
            $at,
            "(a1); lw t0, 4*",
            $at,
            "(a0);",
            "lw t4, 12*",
            $at,
            "+8(a1); lw t2, 12*",
            $at,
            "+4(a1);",
            "add t0, t0, t3; slli t0, t0, 2; mulh t0, t0, t2;",
            "sll t1, a5, t4; addi t4, t4, 1; add t1, t1, t0;",
            "bltz t0, 31f;",
            "addi t1, t1, 1; sra t1, t1, t4; bge a7, t1, 33f; mv t1, a7; j 33f;",
            "31: addi t1, t1, -1; sra t1, t1, t4; bge t1, a6, 33f; mv t1, a6;",
            "33: sb t1, ",
            $at,
            "(a2);",
        )
    };
}

/// Requantizes sums at a0, up to s0, four a round.
///
/// # Safety
/// Not a function of the C ABI: the table is at a1, the output at a2, twice the zero point and one in a5, the
/// range in a6 and a7. Changes these pointers and t0 to t4.
#[unsafe(naked)]
unsafe extern "C" fn requantize() {
    naked_asm!(
        extensions!(),
        "2:",
        alone!(0),
        alone!(1),
        alone!(2),
        alone!(3),
        "addi a0, a0, 16; addi a1, a1, 48; addi a2, a2, 4; bne a0, s0, 2b;",
        "ret; .option pop;",
    )
}

/// The body of a function that computes groups of channels of one place: `$tap` is one input, the others are the
/// number of channels, how sums start and how they are put on the stack.
macro_rules! ones {
    ($tap:ident, $channels:literal, [$w1:literal, $w2:literal, $w3:literal, $w4:literal], $start:literal, $spill:literal) => {
        naked_asm!(
            extensions!(),
            enter!(96),
            "2:",
            "lw a0, 0(s11); lw ra, 4(s11); li s1, 0; lw a3, 48(s11); lw a2, 8(s11); lw s10, 56(s11);",
            $start,
            // One run.
            "3:",
            "add t0, ra, a3; lw a1, 0(t0); lw s0, 12(ra); add a1, a1, s1; addi ra, ra, 16;",
            "andi t0, s0, 3; add s0, s0, a1; beqz t0, 5f;",
            "add a4, t0, a1;",
            "4:",
            $tap!(0, 0),
            concat!("addi a1, a1, 1; addi a0, a0, ", $channels, "; bne a1, a4, 4b;"),
            "beq a1, s0, 6f;",
            "5:",
            $tap!(0, 0),
            $tap!(1, $w1),
            $tap!(2, $w2),
            $tap!(3, $w3),
            concat!("addi a1, a1, 4; addi a0, a0, ", $w4, "; bne a1, s0, 5b;"),
            "6:",
            "bne ra, a2, 3b;",
            "addi s10, s10, -1; beqz s10, 7f;",
            // Another line.
            "lw t0, 52(s11); lw ra, 4(s11); add s1, s1, t0; j 3b;",
            "7:",
            "sw a0, 0(s11);",
            $spill,
            concat!("mv a0, sp; addi s0, sp, 4*", $channels, ";"),
            "lw a1, 12(s11); lw a2, 16(s11); lw a5, 32(s11); lw a6, 36(s11); lw a7, 40(s11);",
            "call {requantize};",
            "sw a1, 12(s11); sw a2, 16(s11);",
            "lw t0, 28(s11); addi t0, t0, -1; sw t0, 28(s11); bnez t0, 2b;",
            leave!(96),
            ".option pop;",
            requantize = sym requantize,
        )
    };
}

/// Groups of eight channels of the place whose address in a run is at `call.place`, to the first output.
///
/// # Safety
/// As `threes`.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn eights(call: *mut Call) {
    ones!(
        eight,
        8,
        [8, 16, 24, 32],
        "li s2, 0; li s3, 0; li s4, 0; li s5, 0; li s6, 0; li s7, 0; li s8, 0; li s9, 0;",
        "sw s2, 0(sp); sw s3, 4(sp); sw s4, 8(sp); sw s5, 12(sp); sw s6, 16(sp); sw s7, 20(sp); sw s8, 24(sp); sw s9, 28(sp);"
    )
}

/// Groups of four channels likewise.
///
/// # Safety
/// As `threes`, with four in place of eight.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn fours(call: *mut Call) {
    ones!(
        four,
        4,
        [4, 8, 12, 16],
        "li s2, 0; li s3, 0; li s4, 0; li s5, 0;",
        "sw s2, 0(sp); sw s3, 4(sp); sw s4, 8(sp); sw s5, 12(sp);"
    )
}

/// One tap of four channels: the next run, weights at a0, sums in s2 to s5.
macro_rules! tap {
    ($run:literal, $weights:literal) => {
        concat!(
            "lw a1, ", $run, "(ra); add a1, a1, s1;",
            tap!(@ $weights, 0, "s2", "s3"),
            tap!(@ $weights, 2, "s4", "s5"),
        )
    };
    (@ $weights:literal, $channel:literal, $a:literal, $b:literal) => {
        concat!(
            "lb t0, ", $channel, "(a1); lb t1, ", $weights, "+", $channel, "(a0);",
            "lb t2, ", $channel, "+1(a1); lb t3, ", $weights, "+", $channel, "+1(a0);",
            "mul t0, t0, t1; add ", $a, ", ", $a, ", t0; mul t2, t2, t3; add ", $b, ", ", $b, ", t2;",
        )
    };
}

/// What [`depthwise_fours`] takes: it keeps all of it in registers.
#[repr(C)]
struct TapsCall {
    weights: *const i8,
    /// Those of taps: each an address and a length.
    runs: *const (),
    runs_end: *const (),
    table: *const [[i32; 3]; FEWER],
    output: *mut [i8; FEWER],
    /// How far runs are moved on.
    at: usize,
    groups: usize,
    odd: i32,
    min: i32,
    max: i32,
}

/// Groups of four channels of a depthwise convolution.
///
/// # Safety
/// `call.groups` and the number of runs are not 0. Each group reads four elements of each run, from `at` plus
/// four for each earlier group on, four weights for each run, and four elements of the table, and writes four
/// of the output.
#[unsafe(naked)]
unsafe extern "C" fn depthwise_fours(call: *const TapsCall) {
    naked_asm!(
        extensions!(),
        "addi sp, sp, -64; sw ra, 60(sp); sw s0, 56(sp); sw s1, 52(sp); sw s2, 48(sp); sw s3, 44(sp);",
        "sw s4, 40(sp); sw s5, 36(sp); sw s6, 32(sp); sw s7, 28(sp); sw s8, 24(sp); sw s9, 20(sp); sw s10, 16(sp);",
        "lw s6, 4(a0); lw a3, 8(a0); lw s8, 12(a0); lw s9, 16(a0); lw s1, 20(a0); lw s10, 24(a0);",
        "lw a5, 28(a0); lw a6, 32(a0); lw a7, 36(a0); lw a0, 0(a0);",
        "2:",
        "mv ra, s6; li s2, 0; li s3, 0; li s4, 0; li s5, 0;",
        // An odd number of taps, of 8 bytes each: a single one first.
        "sub t0, a3, ra; andi t0, t0, 8; beqz t0, 3f;",
        tap!(0, 0),
        "addi a0, a0, 4; addi ra, ra, 8; beq ra, a3, 4f;",
        "3:",
        tap!(0, 0),
        tap!(8, 4),
        "addi a0, a0, 8; addi ra, ra, 16; bne ra, a3, 3b;",
        "4:",
        "addi s1, s1, 4; mv s7, a0;",
        "sw s2, 0(sp); sw s3, 4(sp); sw s4, 8(sp); sw s5, 12(sp);",
        "mv a0, sp; addi s0, sp, 16; mv a1, s8; mv a2, s9;",
        "call {requantize};",
        "mv s8, a1; mv s9, a2; mv a0, s7; addi s10, s10, -1; bnez s10, 2b;",
        "lw ra, 60(sp); lw s0, 56(sp); lw s1, 52(sp); lw s2, 48(sp); lw s3, 44(sp);",
        "lw s4, 40(sp); lw s5, 36(sp); lw s6, 32(sp); lw s7, 28(sp); lw s8, 24(sp); lw s9, 20(sp); lw s10, 16(sp);",
        "addi sp, sp, 64; ret;",
        ".option pop;",
        requantize = sym requantize,
    )
}

#[inline(always)]
pub(super) fn depthwise(
    taps: &Taps<'_, i8>,
    at: usize,
    weights: &[i8],
    table: &[[[i32; 3]; FEWER]],
    output: &mut [[i8; FEWER]],
    finish: &Finish,
) {
    let (runs, count, shortest) = taps.parts();
    let runs: *const () = runs.cast();
    let groups = output.len().min(table.len());
    // `groups` elements of 48 bytes are there: four times as many do not overflow, and `count` is at most
    // 25.
    let channels = groups.wrapping_mul(FEWER);
    let enough = shortest.checked_sub(channels).is_some_and(|most| at <= most);
    let needed = channels.checked_mul(count);
    if count == 0 || groups == 0 || !enough || needed.is_none_or(|all| weights.len() < all) {
        return;
    }
    let call = TapsCall {
        weights: weights.as_ptr(),
        runs,
        runs_end: runs.wrapping_byte_add(count.wrapping_mul(8)),
        table: table.as_ptr(),
        output: output.as_mut_ptr(),
        at,
        groups,
        odd: finish.odd,
        min: finish.min,
        max: finish.max,
    };
    // SAFETY: `groups` and `count` are not 0. The runs of taps have their address first and are 8 bytes. Each has
    // `at` plus four elements for each group, there are weights for all groups and taps, and table and output
    // have `groups` elements of four channels.
    unsafe { depthwise_fours(&raw const call) };
}
