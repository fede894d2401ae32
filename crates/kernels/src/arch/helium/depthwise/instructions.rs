//! The loops of [`super`] in instructions; see [`crate::arch::helium`].

use super::{BLOCK, Image, Layer, Places, Table, Windows};
use crate::arch::taps::{Run, Taps};
use core::arch::naked_asm;

/// What the functions keep in memory.
#[repr(C)]
struct Call {
    weights: *const i8,
    table: *const Table,
    /// What is left to add to the addresses of the taps of each row, which went through all whole blocks, for the
    /// next place; and whether it is anything.
    moves: [usize; 3],
    any_move: usize,
    places: usize,
    /// Whole blocks, and channels of the one that is not whole.
    blocks: usize,
    rest: usize,
    output: *mut i8,
    zero_point: [i16; 8],
}

impl Call {
    #[inline(always)]
    fn new(layer: &Layer<'_>, output: *mut i8, places: usize, channels: usize) -> Self {
        Self {
            weights: layer.weights.as_ptr(),
            table: layer.table.as_ptr(),
            moves: [0; 3],
            any_move: 0,
            places,
            blocks: channels / BLOCK,
            rest: channels % BLOCK,
            output,
            zero_point: [layer.zero_point as i16; 8],
        }
    }
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
            "vldrw.u32 q0, [sp, #40];",
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

/// Saves what a function must, and copies [`Call`] to where sp points.
macro_rules! enter {
    () => {
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}; \
         vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}; \
         vldmia r0, {{d0, d1, d2, d3, d4, d5, d6}}; \
         vpush {{d0, d1, d2, d3, d4, d5, d6}};"
    };
}

macro_rules! leave {
    () => {
        "add sp, #56; \
         vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}; \
         pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}};"
    };
}

/// Adds to the addresses of the three taps of a row what is left to add.
macro_rules! move_row {
    ($move:literal, $first:literal, $second:literal, $third:literal) => {
        concat!(
            concat!("ldr lr, [sp, #", $move, "];"),
            concat!("add ", $first, ", ", $first, ", lr;"),
            concat!("add ", $second, ", ", $second, ", lr;"),
            concat!("add ", $third, ", ", $third, ", lr;"),
        )
    };
}

/// Windows of nine taps, whose addresses are in registers.
///
/// # Safety
/// `call.places` is not 0. Each tap has the channels of all places, which are `16 * call.blocks + call.rest` and begin
/// `16 * call.blocks` and what its row's element of `call.moves` says apart. Weights have 144 elements for each block,
/// whole or not; the table has one; the output has room for the channels of all places.
#[unsafe(naked)]
unsafe extern "C" fn nine(call: *const Call, taps: *const [*const i8; 9]) {
    naked_asm!(
        ".cpu cortex-m55",
        enter!(),
        "ldm r1, {{r0, r1, r2, r3, r4, r5, r6, r7, r8}}",
        "ldr r11, [sp, #36]",
        "mov r12, #1",
        // One place.
        "2:",
        "ldrd r9, r10, [sp]",
        "ldr lr, [sp, #28]",
        "wls lr, lr, 4f",
        "3:",
        block_of_nine!(whole),
        "vstrb.8 q4, [r11], #16",
        "le lr, 3b",
        "4:",
        "ldr lr, [sp, #32]",
        "cmp lr, #0",
        "beq 5f",
        "vctp.8 lr",
        block_of_nine!(part),
        "vpst",
        "vstrbt.8 q4, [r11]",
        "ldr lr, [sp, #32]",
        "add r11, r11, lr",
        "5:",
        "ldr lr, [sp, #24]",
        "subs lr, lr, #1",
        "beq 6f",
        "str lr, [sp, #24]",
        "ldr lr, [sp, #20]",
        "cmp lr, #0",
        "beq 2b",
        move_row!(8, "r0", "r1", "r2"),
        move_row!(12, "r3", "r4", "r5"),
        move_row!(16, "r6", "r7", "r8"),
        "b 2b",
        "6:",
        leave!(),
    )
}

/// Loads the channels that are there of the next tap of a list at r0, moved on by r5.
macro_rules! listed {
    () => {
        "ldr r1, [r0], #8; \
         add r1, r1, r5; \
         vpst; \
         vldrbt.u8 q0, [r1];"
    };
}

/// Loads the channels that are there of the tap at r0; the next one is r5 elements further.
macro_rules! in_line {
    () => {
        "vpst; \
         vldrbt.u8 q0, [r0]; \
         add r0, r0, r5;"
    };
}

/// The body of a function for windows of any number of taps, one place: where they begin goes from r1 to r8.
macro_rules! any_number {
    ($load:ident, $start:literal, $next_block:literal) => {
        naked_asm!(
            ".cpu cortex-m55",
            enter!(),
            "ldm.w sp, {{r9, r10}}",
            "ldr r5, [sp, #8]",
            "ldr r11, [sp, #36]",
            "mov r12, #1",
            "mov r8, r1",
            "and r6, r2, #1",
            "lsr r7, r2, #1",
            "2:",
            "vctp.8 r3",
            $start,
            biases!(),
            // An odd number of taps: the single one first.
            "cbz r6, 3f",
            products!($load!()),
            accumulate!(),
            "3:",
            "wls lr, r7, 5f",
            "4:",
            products!($load!()),
            further_products!($load!()),
            accumulate!(),
            "le lr, 4b",
            "5:",
            finish!(),
            "vpst",
            "vstrbt.8 q4, [r11], #16",
            $next_block,
            "subs r3, r3, #16",
            "bgt 2b",
            leave!(),
        )
    };
}

/// Windows of any number of taps, one place.
///
/// # Safety
/// As for [`nine`], with one place, `count` taps, not 0, at `taps`, of which the elements from `call.moves[0]` on are
/// used, and 16 times as many weights for each block.
#[unsafe(naked)]
unsafe extern "C" fn any_number(
    call: *const Call,
    taps: *const Run<i8>,
    count: usize,
    channels: usize,
) {
    any_number!(listed, "mov r0, r8", "add r5, r5, #16")
}

/// Windows of taps in a line, one place.
///
/// # Safety
/// As for [`any_number`], with `count` taps `call.moves[0]` elements apart from `first` on.
#[unsafe(naked)]
unsafe extern "C" fn any_line(call: *const Call, first: *const i8, count: usize, channels: usize) {
    any_number!(in_line, "mov r0, r8", "add r8, r8, #16")
}

/// As its portable twin.
#[inline(never)]
pub(super) fn line_window(
    values: &[i8],
    taps: usize,
    apart: usize,
    places: Places,
    layer: &Layer<'_>,
    output: &mut [i8],
) {
    let mut call = Call::new(layer, output.as_mut_ptr(), 1, places.channels);
    call.moves = [apart; 3];
    let mut first = values.as_ptr();
    for _ in 0..places.number {
        // SAFETY: the caller has seen that taps, weights, table and room for the outputs are there for all places;
        // a place moves taps on by `step` and the output by its channels.
        unsafe { any_line(&raw const call, first, taps, places.channels) };
        first = first.wrapping_add(places.step);
        call.output = call.output.wrapping_add(places.channels);
    }
}

/// As its portable twin.
#[inline(always)]
pub(super) fn any_window(
    taps: &Taps<'_, i8>,
    places: Places,
    layer: &Layer<'_>,
    output: &mut [i8],
) {
    let (runs, count, _) = taps.parts();
    let mut call = Call::new(layer, output.as_mut_ptr(), 1, places.channels);
    for _ in 0..places.number {
        // SAFETY: the caller has seen that taps, weights, table and room for the outputs are there for all places;
        // a place moves taps on by `step` and the output by its channels.
        unsafe { any_number(&raw const call, runs, count, places.channels) };
        let [at, ..] = call.moves;
        call.moves = [at.wrapping_add(places.step); 3];
        call.output = call.output.wrapping_add(places.channels);
    }
}

/// As its portable twin.
#[inline(never)]
pub(super) fn nine_taps(image: &Image<'_>, windows: Windows, layer: &Layer<'_>, output: &mut [i8]) {
    let Windows { first: [mut row, column], dilation: [rows, columns], number, stride } = windows;
    let channels = image.channels;
    let step = (stride as usize).wrapping_mul(channels);
    // Places without a gap between them are one place with more channels: the binary logarithm of how many.
    let together = match channels {
        1 => 4,
        2 => 3,
        4 => 2,
        8 => 1,
        _ => 0,
    };
    let together = if stride == 1 && image.padding.len() >= BLOCK { together } else { 0 };
    let wide = if together > 0 { number as usize >> together } else { 0 };
    let line = (image.width as usize).wrapping_mul(channels);
    let mut taps = [image.padding.as_ptr(); 9];
    // 0 for rows around the image, which are the same for all places.
    let mut steps = [0; 3];
    let (taps_of_rows, _) = taps.as_chunks_mut::<3>();
    for (taps, step_of_row) in taps_of_rows.iter_mut().zip(&mut steps) {
        if row < image.height {
            *step_of_row = step;
            let first = image.values.as_ptr().wrapping_add((row as usize).wrapping_mul(line));
            let mut column = column;
            for tap in taps {
                if column < image.width {
                    *tap = first.wrapping_add((column as usize).wrapping_mul(channels));
                }
                column = column.wrapping_add(columns);
            }
        }
        row = row.wrapping_add(rows);
    }
    // SAFETY: the caller has seen that the image is there, that the columns of all windows are in it when there are
    // several, and that weights, table and room for the outputs are there. So a tap is at a place of the image, or
    // at the padding, which does not move; both have all channels. Of places that are one, of which there are
    // several and so no column around the image, the padding is long enough.
    unsafe {
        let mut output = output.as_mut_ptr();
        if wide > 0 {
            let steps = steps.map(|step| if step > 0 { BLOCK } else { 0 });
            run_nine(&taps, steps, layer, output, wide, BLOCK);
            let done = wide.wrapping_mul(BLOCK);
            let (taps_of_rows, _) = taps.as_chunks_mut::<3>();
            for (taps, step) in taps_of_rows.iter_mut().zip(steps) {
                if step > 0 {
                    *taps = taps.map(|tap| tap.wrapping_add(done));
                }
            }
            output = output.wrapping_add(done);
        }
        let rest = (number as usize).wrapping_sub(wide << together);
        if rest > 0 {
            run_nine(&taps, steps, layer, output, rest, channels);
        }
    }
}

/// Calls [`nine`].
///
/// # Safety
/// As for [`nine`]: the taps of each row move on by its element of `steps`.
#[inline(always)]
unsafe fn run_nine(
    taps: &[*const i8; 9],
    steps: [usize; 3],
    layer: &Layer<'_>,
    output: *mut i8,
    places: usize,
    channels: usize,
) {
    let mut call = Call::new(layer, output, places, channels);
    let whole = call.blocks.wrapping_mul(BLOCK);
    call.moves = steps.map(|step| step.wrapping_sub(whole));
    let [a, b, c] = call.moves;
    call.any_move = a | b | c;
    // SAFETY: of the caller.
    unsafe { nine(&raw const call, taps) };
}
