//! The loops of [`super`] in ARMv6-M instructions.

use super::{CHANNELS, FEWER, Moved, Run, product, write};
use crate::arch::taps::Taps;
use core::arch::naked_asm;

/// What the loops below keep in memory.
#[repr(C)]
struct Call {
    weights: *const i8,
    runs: *const Run,
    runs_end: *const Run,
    table: *const [i32; 3],
    output: *mut i8,
    /// How far runs are moved on.
    at: usize,
    zero_point: i32,
    /// Groups of channels that are left.
    groups: usize,
    /// Where sums start.
    start: i32,
}

/// One input, at r0, times the weights of eight channels, at r1, both moved by constants; sums in r4 to r11.
macro_rules! eight {
    ($input:literal, $weights:literal) => {
        concat!(
            four!($input, $weights),
            product_high!("r8", $weights, 4),
            product_high!("r9", $weights, 5),
            product_high!("r10", $weights, 6),
            product_high!("r11", $weights, 7),
        )
    };
}

/// As [`eight`], for four channels with sums in r4 to r7.
macro_rules! four {
    ($input:literal, $weights:literal) => {
        concat!(
            "ldrb r2, [r0, #",
            $input,
            "]; sxtb r2, r2;",
            product!("r4", $weights, 0),
            product!("r5", $weights, 1),
            product!("r6", $weights, 2),
            product!("r7", $weights, 3),
        )
    };
}

macro_rules! product {
    ($sum:literal, $weights:literal, $channel:literal) => {
        concat!(
            "ldrb r3, [r1, #",
            $weights,
            "+",
            $channel,
            "];",
            "muls r3, r2, r3;",
            "adds ",
            $sum,
            ", ",
            $sum,
            ", r3;",
        )
    };
}

macro_rules! product_high {
    ($sum:literal, $weights:literal, $channel:literal) => {
        concat!(
            "ldrb r3, [r1, #",
            $weights,
            "+",
            $channel,
            "];",
            "muls r3, r2, r3;",
            "add ",
            $sum,
            ", r3;",
        )
    };
}

/// One output: its sum is the next word of the stack, its bias, multiplier and shift are at r7, the zero
/// point is in r6. Written to r3, moved by a constant.
///
/// The product of a sum below 2^29 and a multiplier below 2^31 comes in four parts of which none overflows,
/// because the lower half of the sum is taken with its sign; a shift to the right leaves the bit that rounds
/// in the carry.
macro_rules! requantize {
    ($output:literal) => {
        concat!(
            "pop {{r0}};",
            "ldmia r7!, {{r1, r2}};",
            "adds r0, r0, r1;",
            "sxth r1, r0;",
            "subs r0, r0, r1;",
            "asrs r0, r0, #16;",
            "uxth r4, r2;",
            "lsrs r2, r2, #16;",
            "movs r5, r4;",
            "muls r5, r1, r5;",
            "asrs r5, r5, #16;",
            "muls r4, r0, r4;",
            "adds r5, r5, r4;",
            "muls r1, r2, r1;",
            "adds r5, r5, r1;",
            "muls r0, r2, r0;",
            "ldmia r7!, {{r1}};",
            "asrs r5, r5, #15;",
            "adcs r5, r0;",
            "adds r5, r5, r0;",
            "asrs r0, r5, #31;",
            "adds r5, r5, r0;",
            "asrs r5, r1;",
            "adcs r5, r6;",
            "sxtb r0, r5;",
            "cmp r0, r5;",
            "beq 22f;",
            "movs r0, #127;",
            "asrs r5, r5, #31;",
            "eors r0, r5;",
            "22: strb r0, [r3, #",
            $output,
            "];",
        )
    };
}

/// Saves what a function must, and keeps the pointer to [`Call`] at sp and room for two words behind it.
macro_rules! enter {
    () => {
        "push {{r4, r5, r6, r7, lr}}; \
         mov r4, r8; mov r5, r9; mov r6, r10; mov r7, r11; \
         push {{r0, r1, r2, r4, r5, r6, r7}};"
    };
}

macro_rules! leave {
    () => {
        "pop {{r0, r1, r2, r4, r5, r6, r7}}; \
         mov r8, r4; mov r9, r5; mov r10, r6; mov r11, r7; \
         pop {{r4, r5, r6, r7, pc}};"
    };
}

/// Requantizes as many sums on the stack as the table has bytes, four a round: where the table ends is in r12.
///
/// # Safety
/// Not a function of the C ABI: takes and gives what [`requantize`] says, and changes r0 to r5 beside.
#[unsafe(naked)]
unsafe extern "C" fn requantize_all() {
    naked_asm!(
        "9:",
        requantize!(0),
        requantize!(1),
        requantize!(2),
        requantize!(3),
        "adds r3, #4; cmp r7, r12; beq 10f; b 9b;",
        "10: bx lr;",
    )
}

/// Requantizes the sums on the stack and goes on with the next group at 2 while there is one.
macro_rules! end_group {
    ($table_bytes:literal, $call:literal) => {
        concat!(
            "ldr r0, [sp, #",
            $call,
            "];",
            "ldr r7, [r0, #12]; ldr r3, [r0, #16]; ldr r6, [r0, #24];",
            "movs r1, r7; adds r1, #",
            $table_bytes,
            "; mov r12, r1;",
            "bl {requantize};",
            "ldr r0, [sp];",
            "str r7, [r0, #12]; str r3, [r0, #16];",
            "ldr r1, [r0, #28]; subs r1, #1; str r1, [r0, #28];",
            "beq 11f; b 2b;",
            "11:",
        )
    };
}

/// The body of a function that computes groups of channels: `$start` copies r4 to the other sums, `$tap` is
/// one input, `$push` puts the sums on the stack.
macro_rules! groups {
    ($tap:ident, $step:literal, [$w1:literal, $w2:literal, $w3:literal, $w4:literal], $start:literal,
     $push:literal, $table_bytes:literal, $call:literal) => {
        naked_asm!(
            enter!(),
            "2:",
            "ldr r0, [sp];",
            "ldr r4, [r0, #32]; ldr r1, [r0, #0]; ldr r2, [r0, #4]; ldr r3, [r0, #20];",
            "mov lr, r2; str r3, [sp, #8];",
            $start,
            // One run.
            "3:",
            "mov r2, lr; ldmia r2!, {{r0, r3}}; mov lr, r2;",
            "ldr r2, [sp, #8]; adds r0, r0, r2; adds r2, r0, r3; str r2, [sp, #4];",
            "lsrs r3, r3, #2; beq 5f; lsls r3, r3, #2; adds r3, r3, r0; mov r12, r3;",
            // Four inputs a round.
            "4:",
            $tap!(0, 0),
            $tap!(1, $w1),
            $tap!(2, $w2),
            $tap!(3, $w3),
            concat!("adds r0, #4; adds r1, #", $w4, "; cmp r0, r12; bne 4b;"),
            "5:",
            "ldr r2, [sp, #4]; mov r12, r2; cmp r0, r2; beq 7f;",
            // What is left, one by one.
            "6:",
            $tap!(0, 0),
            concat!("adds r0, #1; adds r1, #", $step, "; cmp r0, r12; bne 6b;"),
            "7:",
            "ldr r0, [sp]; ldr r2, [r0, #8]; cmp lr, r2; beq 8f; b 3b;",
            "8:",
            "str r1, [r0, #0];",
            $push,
            end_group!($table_bytes, $call),
            leave!(),
            requantize = sym requantize_all,
        )
    };
}

/// Groups of eight channels.
///
/// # Safety
/// `call.groups` and the number of runs, none of which is empty, are not 0. Each group reads as many times
/// eight weights as the runs have elements, and eight elements of the table, and writes eight of the output.
#[unsafe(naked)]
unsafe extern "C" fn eights(call: *mut Call) {
    groups!(
        eight,
        8,
        [8, 16, 24, 32],
        "movs r5, r4; movs r6, r4; movs r7, r4; mov r8, r4; mov r9, r4; mov r10, r4; mov r11, r4;",
        "mov r0, r8; mov r1, r9; mov r2, r10; mov r3, r11; push {{r0, r1, r2, r3}}; push {{r4, r5, r6, r7}};",
        96,
        32
    )
}

/// Groups of four channels.
///
/// # Safety
/// As [`eights`], with four in place of eight.
#[unsafe(naked)]
unsafe extern "C" fn fours(call: *mut Call) {
    groups!(
        four,
        4,
        [4, 8, 12, 16],
        "movs r5, r4; movs r6, r4; movs r7, r4;",
        "push {{r4, r5, r6, r7}};",
        48,
        16
    )
}

/// The sum of all elements of runs that are moved on by `at`.
///
/// # Safety
/// `runs` is before `runs_end`, and none is empty.
#[unsafe(naked)]
unsafe extern "C" fn sum(runs: *const Run, runs_end: *const Run, at: usize) -> i32 {
    naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "mov lr, r1; push {{r2}};",
        "movs r4, #0; movs r5, #1; movs r6, #2; movs r7, #3; mov r12, r4;",
        "2:",
        "ldmia r0!, {{r2, r3}}; ldr r1, [sp]; adds r2, r2, r1; adds r1, r2, r3;",
        "push {{r0, r1}};",
        "lsrs r3, r3, #2; beq 4f; lsls r3, r3, #2; adds r1, r3, r2;",
        "3:",
        "ldrsb r3, [r2, r4]; add r12, r3;",
        "ldrsb r3, [r2, r5]; add r12, r3;",
        "ldrsb r3, [r2, r6]; add r12, r3;",
        "ldrsb r3, [r2, r7]; add r12, r3;",
        "adds r2, #4; cmp r2, r1; bne 3b;",
        "4:",
        "pop {{r0, r1}}; cmp r2, r1; beq 6f;",
        "5:",
        "ldrsb r3, [r2, r4]; add r12, r3; adds r2, #1; cmp r2, r1; bne 5b;",
        "6:",
        "cmp r0, lr; bne 2b;",
        "mov r0, r12; pop {{r2, r4, r5, r6, r7, pc}};",
    )
}

#[inline(always)]
pub(super) fn outputs(
    runs: Moved<'_>,
    weights: &[i8],
    table: &[[i32; 3]],
    output: &mut [i8],
    zero_point: i32,
) {
    let range = runs.runs.as_ptr_range();
    let (in_eights, rest) = output.as_chunks_mut::<CHANNELS>();
    let (in_fours, last) = rest.as_chunks_mut::<FEWER>();
    // SAFETY: `Moved` has at least one run and none that is empty; each has as many elements behind it as
    // `at` says.
    let sum = unsafe { sum(range.start, range.end, runs.at) };
    let mut call = Call {
        weights: weights.as_ptr(),
        runs: range.start,
        runs_end: range.end,
        table: table.as_ptr(),
        output: in_eights.as_mut_ptr().cast(),
        at: runs.at,
        zero_point,
        groups: in_eights.len(),
        start: sum.wrapping_mul(-128),
    };
    if call.groups != 0 {
        // SAFETY: runs are as for `sum`. The caller has seen that weights and table are there for all
        // channels of `output`, filled up to fours, and `output` has `groups` times eight elements. Nothing
        // of it overlaps `call`.
        unsafe { eights(&raw mut call) };
    }
    if !in_fours.is_empty() {
        call.groups = in_fours.len();
        call.output = in_fours.as_mut_ptr().cast();
        // SAFETY: as above; `eights` left weights and table where its groups end.
        unsafe { fours(&raw mut call) };
    }
    if !last.is_empty() {
        let mut values = [0; FEWER];
        call.groups = 1;
        call.output = values.as_mut_ptr();
        // SAFETY: as above; weights and table go on for four channels, and so does `values`.
        unsafe { fours(&raw mut call) };
        write(last, &values);
    }
}

/// One product: a channel at r0 and its weight at r1, both moved by an offset; sum in a high register.
macro_rules! channel {
    ($sum:literal, $offset:literal) => {
        concat!(
            "ldrsb r2, [r0, ",
            $offset,
            "]; ldrsb r3, [r1, ",
            $offset,
            "];",
            "muls r3, r2, r3; add ",
            $sum,
            ", r3;",
        )
    };
}

/// One tap: the next run, four channels of it, four weights.
macro_rules! tap {
    () => {
        concat!(
            "mov r2, r12; ldmia r2!, {{r0, r3}}; mov r12, r2;",
            channel!("r8", "r4"),
            channel!("r9", "r5"),
            channel!("r10", "r6"),
            channel!("r11", "r7"),
            "adds r1, #4;",
        )
    };
}

/// Groups of four channels of a depthwise convolution.
///
/// # Safety
/// `call.groups` and the number of runs are not 0. Each group reads four elements of each run, from `at` plus
/// four for each earlier group on, four weights for each run, and four elements of the table, and writes four
/// of the output.
#[unsafe(naked)]
unsafe extern "C" fn depthwise_fours(call: *mut Call) {
    naked_asm!(
        enter!(),
        "2:",
        "ldr r0, [sp];",
        "ldr r1, [r0, #0]; ldr r4, [r0, #20]; subs r1, r1, r4;",
        "adds r5, r4, #1; adds r6, r4, #2; adds r7, r4, #3;",
        "movs r2, #0; mov r8, r2; mov r9, r2; mov r10, r2; mov r11, r2;",
        "ldr r2, [r0, #4]; ldr r3, [r0, #8]; mov r12, r2; mov lr, r3;",
        // An odd number of taps, of 8 bytes each: half a round first.
        "subs r3, r3, r2; lsls r3, r3, #28; bmi 4f;",
        "3:",
        tap!(),
        "4:",
        tap!(),
        "cmp r12, lr; bne 3b;",
        "ldr r0, [sp]; adds r1, r1, r4; str r1, [r0, #0]; adds r4, #4; str r4, [r0, #20];",
        "mov r0, r8; mov r1, r9; mov r2, r10; mov r3, r11; push {{r0, r1, r2, r3}};",
        end_group!(48, 16),
        leave!(),
        requantize = sym requantize_all,
    )
}

#[inline(always)]
pub(super) fn depthwise(
    taps: &Taps<'_, i8>,
    at: usize,
    weights: &[i8],
    table: &[[[i32; 3]; 4]],
    output: &mut [[i8; 4]],
    zero_point: i32,
) {
    let (runs, count, shortest) = taps.parts();
    let groups = output.len().min(table.len());
    // `groups` elements of 48 bytes are there: four times as many do not overflow, and `count` is at most
    // 25.
    let channels = groups.wrapping_mul(4);
    let enough = shortest.checked_sub(channels).is_some_and(|most| at <= most);
    let needed = product(channels, count);
    if count == 0 || groups == 0 || !enough || needed.is_none_or(|all| weights.len() < all) {
        return;
    }
    let runs: *const Run = runs.cast();
    let mut call = Call {
        weights: weights.as_ptr(),
        runs,
        runs_end: runs.wrapping_add(count),
        table: table.as_ptr().cast(),
        output: output.as_mut_ptr().cast(),
        at,
        zero_point,
        groups,
        start: 0,
    };
    // SAFETY: `groups` and `count` are not 0. The runs of taps are laid out as `Run`. Each has `at` plus four
    // elements for each group, there are weights for all groups and taps, and table and output have `groups`
    // elements of four channels.
    unsafe { depthwise_fours(&raw mut call) };
}
