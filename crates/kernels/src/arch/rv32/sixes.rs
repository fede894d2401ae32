//! Six rows of inputs at once: they are joined once for all channels, into memory that the outputs of later rows
//! will take.

use super::instructions::{channel, enter, extensions, finish, leave, product, separate, zero};
use super::{CHANNELS, Layer};
use core::arch::naked_asm;

/// Rows computed at once.
pub const ROWS: usize = 6;

/// Fewer channels do not repay joining.
const LEAST_CHANNELS: usize = 24;

/// What the loops below keep in memory.
#[repr(C)]
struct Call {
    weights: *const i8,
    table: *const [i32; 3],
    input: *const i8,
    /// Elements of a row: a multiple of four.
    inputs: usize,
    joined: *mut [i32; 4],
    output: *mut i8,
    /// Outputs of a row.
    outputs: usize,
    /// Groups of eight channels.
    groups: usize,
    odd: i32,
    min: i32,
    max: i32,
}

/// One input of three rows, moved by constants: at a1 to a3, to a4.
macro_rules! join {
    ($input:literal, $to:literal) => {
        concat!(
            "lb t2, ",
            $input,
            "(a2); lb t1, ",
            $input,
            "(a3); lb t0, ",
            $input,
            "(a1);",
            "slli t2, t2, 11; add t1, t1, t2; slli t2, t2, 10; add t0, t0, t2;",
            "sw t0, ",
            $to,
            "(a4); sw t1, ",
            $to,
            "+4(a4);",
        )
    };
}

/// One input of six rows, joined, at a2, times the weights of four channels, at a0, all moved by constants.
macro_rules! six {
    ($input:literal, $weights:literal) => {
        concat!(
            "lw t0, ", $input, "(a2); lw t1, ", $input, "+4(a2);",
            "lw a1, ", $input, "+8(a2); lw a3, ", $input, "+12(a2);",
            six!(@ $weights, 0, "s2", "s3", "s4", "s5"),
            six!(@ $weights, 1, "s6", "s7", "s8", "s9"),
            six!(@ $weights, 2, "a4", "a5", "a6", "a7"),
            six!(@ $weights, 3, "t3", "t4", "t5", "t6"),
        )
    };
    (@ $weights:literal, $channel:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "lb s1, ", $weights, "+", $channel, "(a0);",
            product!("t2", "s1", "t0", $a),
            product!("s10", "s1", "t1", $b),
            product!("t2", "s1", "a1", $c),
            product!("s10", "s1", "a3", $d),
        )
    };
}

/// Six rows.
///
/// # Safety
/// `inputs` is a multiple of four, and neither it nor `groups` is 0; there are six rows of inputs and of outputs,
/// each of the latter with eight elements for each group, weights and table for all groups, and as many elements
/// at `joined` as a row of inputs has.
#[unsafe(naked)]
unsafe extern "C" fn six_rows(call: *mut Call) {
    naked_asm!(
        extensions!(),
        // On the stack, at 64: 0 for the first half of a group, 4 for the second.
        enter!(128),
        "lw a1, 8(s11); lw t3, 12(s11); lw a5, 16(s11); addi t4, a5, 8;",
        "20:",
        "mv a4, a5; add a2, a1, t3; add a3, a2, t3; mv s0, a2;",
        "21:",
        join!(0, 0),
        join!(1, 16),
        join!(2, 32),
        join!(3, 48),
        "addi a1, a1, 4; addi a2, a2, 4; addi a3, a3, 4; addi a4, a4, 64; bne a1, s0, 21b;",
        // The other three rows, whose words are behind those of the first.
        "mv a1, a3; addi a5, a5, 8; beq a5, t4, 20b;",
        "sw zero, 64(sp);",
        // Four channels.
        "2:",
        "lw a0, 0(s11); lw t0, 64(sp); lw a2, 16(s11); lw s0, 12(s11);",
        "add a0, a0, t0; slli s0, s0, 4; add s0, s0, a2;",
        zero!(),
        "3:",
        six!(0, 0),
        six!(16, 8),
        six!(32, 16),
        six!(48, 24),
        "addi a0, a0, 32; addi a2, a2, 64; bne a2, s0, 3b;",
        "sw s2, 0(sp); sw s3, 4(sp); sw s6, 8(sp); sw s7, 12(sp);",
        "sw a4, 16(sp); sw a5, 20(sp); sw t3, 24(sp); sw t4, 28(sp);",
        "sw s4, 32(sp); sw s5, 36(sp); sw s8, 40(sp); sw s9, 44(sp);",
        "sw a6, 48(sp); sw a7, 52(sp); sw t5, 56(sp); sw t6, 60(sp);",
        "mv s8, a0;",
        "lw a1, 4(s11); lw a2, 20(s11); lw s7, 24(s11); lw a5, 32(s11); lw a6, 36(s11); lw a7, 40(s11);",
        "mv a0, sp; li s10, 0; mv s6, a1; mv s5, a2;",
        "8:",
        "add a3, a2, s7; add a4, a3, s7; addi s9, a0, 32; mv a1, s6;",
        "9:",
        channel!(0, 0, 0),
        channel!(1, 8, 12),
        "addi a0, a0, 16; addi a1, a1, 24; addi a2, a2, 2; addi a3, a3, 2; addi a4, a4, 2;",
        "bne a0, s9, 9b;",
        // The other three rows of outputs.
        "add a2, a4, s7; addi a2, a2, -4; addi t0, sp, 64; bne a0, t0, 8b;",
        "addi s5, s5, 4; sw a1, 4(s11); sw s5, 20(s11);",
        "lw t0, 64(sp); xori t0, t0, 4; sw t0, 64(sp); bnez t0, 2b;",
        // The second half has gone through the weights from its own start on.
        "addi s8, s8, -4; sw s8, 0(s11);",
        "lw t0, 28(s11); addi t0, t0, -1; sw t0, 28(s11); bnez t0, 2b;",
        leave!(128),
        ".option pop;",
    )
}

/// Computes six rows, the first of `output`, whose later elements are overwritten meanwhile; `false` when they are
/// left to [`super::outputs`], because there is too little of it, or the layer is no such.
#[inline(always)]
pub fn outputs(layer: &Layer<'_>, rows: &[i8], inputs: usize, output: &mut [i8]) -> bool {
    let channels = layer.channels;
    let whole = inputs.is_multiple_of(4) && channels.is_multiple_of(CHANNELS) && inputs > 0;
    if !whole || layer.longest > 0 || channels < LEAST_CHANNELS {
        return false;
    }
    let given = channels.wrapping_mul(ROWS);
    let Some((output, spare)) = output.split_at_mut_checked(given) else { return false };
    let there = inputs.checked_mul(ROWS).is_some_and(|all| all <= rows.len())
        && inputs.checked_mul(channels).is_some_and(|all| all <= layer.weights.len())
        && channels <= layer.table.len()
        && channels == given / ROWS;
    let start = spare.as_mut_ptr();
    let skip = start.addr().wrapping_neg() % align_of::<[i32; 4]>();
    let room = spare.len().saturating_sub(skip) / size_of::<[i32; 4]>();
    if !there || room < inputs {
        return false;
    }
    let mut call = Call {
        weights: layer.weights.as_ptr(),
        table: layer.table.as_ptr(),
        input: rows.as_ptr(),
        inputs,
        joined: start.wrapping_add(skip).cast(),
        output: output.as_mut_ptr(),
        outputs: channels,
        groups: channels / CHANNELS,
        odd: layer.finish.odd,
        min: layer.finish.min,
        max: layer.finish.max,
    };
    // SAFETY: `inputs` is a multiple of four and not 0, `channels` one of eight and not 0. Six rows of inputs and
    // of outputs are there, and weights and table for all channels. `joined` is aligned, in `spare`, and has
    // `inputs` elements.
    unsafe { six_rows(&raw mut call) };
    true
}
