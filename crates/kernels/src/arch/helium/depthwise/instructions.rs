//! The loops of [`super`] in instructions; see [`crate::arch::helium`].

use super::{BLOCK, Places, Table};
use crate::arch::taps::{Run, Taps};
use core::arch::naked_asm;

/// What the functions keep in memory.
#[repr(C)]
struct Call {
    weights: *const i8,
    table: *const Table,
    /// What is left to add to the address of a channel, which went through all whole blocks, for the next place.
    move_on: usize,
    places: usize,
    /// Whole blocks, and channels of the one that is not whole.
    blocks: usize,
    rest: usize,
    output: *mut i8,
    /// Elements of taps before the first one that is used.
    at: usize,
    zero_point: [i16; 8],
}

/// Products of one tap, whose channels `$load` brings to q0: even channels in q2, odd ones in q3.
macro_rules! products {
    ($load:expr) => {
        concat!($load, "vldrb.u8 q1, [r9], #16;", "vmullb.s8 q2, q0, q1;", "vmullt.s8 q3, q0, q1;",)
    };
}

/// Adds the products of a further tap to those of one. A product has no register but that of the weights,
/// which are loaded again.
macro_rules! further_products {
    ($load:expr) => {
        concat!(
            $load,
            "vldrb.u8 q1, [r9];",
            "vmullb.s8 q1, q0, q1;",
            "vadd.i16 q2, q2, q1;",
            "vldrb.u8 q1, [r9], #16;",
            "vmullt.s8 q1, q0, q1;",
            "vadd.i16 q3, q3, q1;",
        )
    };
}

/// Adds the products in q2 and q3 to the sums in q4 to q7.
macro_rules! accumulate {
    () => {
        "vmovlb.s16 q0, q2; \
         vmovlt.s16 q2, q2; \
         vadd.i32 q4, q4, q0; \
         vadd.i32 q5, q5, q2; \
         vmovlb.s16 q0, q3; \
         vmovlt.s16 q3, q3; \
         vadd.i32 q6, q6, q0; \
         vadd.i32 q7, q7, q3;"
    };
}

/// Sums start from biases.
macro_rules! biases {
    () => {
        "vldrw.u32 q4, [r10], #16; \
         vldrw.u32 q5, [r10], #16; \
         vldrw.u32 q6, [r10], #16; \
         vldrw.u32 q7, [r10], #16;"
    };
}

/// Requantizes four sums; r12 is 1. Adding the upper half of twice the number, which is -1 where it is negative,
/// makes of rounding half up half away from zero.
macro_rules! requantize {
    ($sums:literal) => {
        concat!(
            "vldrw.u32 q0, [r10], #16;",
            concat!("vqrdmulh.s32 ", $sums, ", ", $sums, ", q0;"),
            "vldrw.u32 q1, [r10], #16;",
            concat!("vqdmlah.s32 ", $sums, ", ", $sums, ", r12;"),
            concat!("vrshl.s32 ", $sums, ", ", $sums, ", q1;"),
        )
    };
}

/// The outputs of the sums in q4 to q7, in q4.
macro_rules! finish {
    () => {
        concat!(
            requantize!("q4"),
            requantize!("q5"),
            requantize!("q6"),
            requantize!("q7"),
            "vldrw.u32 q0, [sp, #32];",
            "vqmovnb.s32 q4, q4;",
            "vqmovnb.s32 q6, q6;",
            "vqmovnt.s32 q4, q5;",
            "vqmovnt.s32 q6, q7;",
            "vqadd.s16 q4, q4, q0;",
            "vqadd.s16 q6, q6, q0;",
            "vqmovnb.s16 q4, q4;",
            "vqmovnt.s16 q4, q6;",
        )
    };
}

/// A block of nine taps at r0 to r8, which `$load` loads.
macro_rules! block_of_nine {
    ($load:ident) => {
        concat!(
            biases!(),
            products!($load!("r0")),
            further_products!($load!("r1")),
            accumulate!(),
            products!($load!("r2")),
            further_products!($load!("r3")),
            accumulate!(),
            products!($load!("r4")),
            further_products!($load!("r5")),
            accumulate!(),
            products!($load!("r6")),
            further_products!($load!("r7")),
            accumulate!(),
            products!($load!("r8")),
            accumulate!(),
            finish!(),
        )
    };
}

/// Loads all channels of a block and moves on.
macro_rules! whole {
    ($tap:literal) => {
        concat!("vldrb.u8 q0, [", $tap, "], #16;")
    };
}

/// Loads the channels that are there.
macro_rules! part {
    ($tap:literal) => {
        concat!("vpst; vldrbt.u8 q0, [", $tap, "];")
    };
}

/// The address of the next tap at r12, moved on by lr.
macro_rules! next_tap {
    ($tap:literal) => {
        concat!("ldr ", $tap, ", [r12], #8; add ", $tap, ", ", $tap, ", lr;")
    };
}

/// Saves what a function must, and copies [`Call`] to where sp points.
macro_rules! enter {
    () => {
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}; \
         vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}; \
         vldmia r0, {{d0, d1, d2, d3, d4, d5}}; \
         vpush {{d0, d1, d2, d3, d4, d5}};"
    };
}

macro_rules! leave {
    () => {
        "add sp, #48; \
         vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}; \
         pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}};"
    };
}

/// Windows of nine taps, whose addresses are in registers.
///
/// # Safety
/// `call.places` is not 0. There are nine taps at `taps`. From `call.at` on each has the channels of all places,
/// which are `16 * call.blocks + call.rest` and begin `16 * call.blocks + call.move_on` elements apart. Weights
/// have 144 elements for each block, whole or not; the table has one; the output has room for the channels of all
/// places.
#[unsafe(naked)]
unsafe extern "C" fn nine(call: *const Call, taps: *const Run<i8>) {
    naked_asm!(
        ".cpu cortex-m55",
        enter!(),
        "mov r12, r1",
        "ldr lr, [sp, #28]",
        next_tap!("r0"),
        next_tap!("r1"),
        next_tap!("r2"),
        next_tap!("r3"),
        next_tap!("r4"),
        next_tap!("r5"),
        next_tap!("r6"),
        next_tap!("r7"),
        next_tap!("r8"),
        "ldr r11, [sp, #24]",
        "mov r12, #1",
        // One place.
        "2:",
        "ldrd r9, r10, [sp]",
        "ldr lr, [sp, #16]",
        "wls lr, lr, 4f",
        "3:",
        block_of_nine!(whole),
        "vstrb.8 q4, [r11], #16",
        "le lr, 3b",
        "4:",
        "ldr lr, [sp, #20]",
        "cmp lr, #0",
        "beq 5f",
        "vctp.8 lr",
        block_of_nine!(part),
        "vpst",
        "vstrbt.8 q4, [r11]",
        "ldr lr, [sp, #20]",
        "add r11, r11, lr",
        "5:",
        "ldr lr, [sp, #12]",
        "subs lr, lr, #1",
        "beq 6f",
        "str lr, [sp, #12]",
        "ldr lr, [sp, #8]",
        "cmp lr, #0",
        "beq 2b",
        "add r0, r0, lr",
        "add r1, r1, lr",
        "add r2, r2, lr",
        "add r3, r3, lr",
        "add r4, r4, lr",
        "add r5, r5, lr",
        "add r6, r6, lr",
        "add r7, r7, lr",
        "add r8, r8, lr",
        "b 2b",
        "6:",
        leave!(),
    )
}

/// Loads the channels that are there of the next tap at r0, moved on by r5.
macro_rules! next {
    () => {
        "ldr r1, [r0], #8; \
         add r1, r1, r5; \
         vpst; \
         vldrbt.u8 q0, [r1];"
    };
}

/// Windows of any number of taps, one place.
///
/// # Safety
/// As for [`nine`], with one place, `count` taps, not 0, and 16 times as many weights for each block.
#[unsafe(naked)]
unsafe extern "C" fn any_number(
    call: *const Call,
    taps: *const Run<i8>,
    count: usize,
    channels: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        enter!(),
        "ldrd r9, r10, [sp]",
        "ldrd r11, r5, [sp, #24]",
        "mov r12, #1",
        "mov r8, r1",
        "and r6, r2, #1",
        "lsr r7, r2, #1",
        "2:",
        "vctp.8 r3",
        "mov r0, r8",
        biases!(),
        // An odd number of taps: the single one first.
        "cbz r6, 3f",
        products!(next!()),
        accumulate!(),
        "3:",
        "wls lr, r7, 5f",
        "4:",
        products!(next!()),
        further_products!(next!()),
        accumulate!(),
        "le lr, 4b",
        "5:",
        finish!(),
        "vpst",
        "vstrbt.8 q4, [r11], #16",
        "add r5, r5, #16",
        "subs r3, r3, #16",
        "bgt 2b",
        leave!(),
    )
}

/// As its portable twin.
#[inline(always)]
pub(super) fn compute(
    taps: &Taps<'_, i8>,
    places: Places,
    weights: &[i8],
    table: &[Table],
    output: &mut [i8],
    zero_point: i32,
) {
    let (runs, count, _) = taps.parts();
    let (blocks, rest) = (places.channels / BLOCK, places.channels % BLOCK);
    let mut call = Call {
        weights: weights.as_ptr(),
        table: table.as_ptr(),
        move_on: places.step.wrapping_sub(blocks.wrapping_mul(BLOCK)),
        places: places.number,
        blocks,
        rest,
        output: output.as_mut_ptr(),
        at: places.at,
        zero_point: [zero_point as i16; 8],
    };
    if count == 9 {
        // SAFETY: the caller has seen that there is at least one place, and that taps, weights, table and room
        // for the outputs are there for all; runs are laid out as they are read, 8 bytes each.
        unsafe { nine(&raw const call, runs) };
        return;
    }
    for _ in 0..places.number {
        // SAFETY: as above, for one place after the other: a place moves taps on by `step` and the output by its
        // channels.
        unsafe { any_number(&raw const call, runs, count, places.channels) };
        call.at = call.at.wrapping_add(places.step);
        call.output = call.output.wrapping_add(places.channels);
    }
}
