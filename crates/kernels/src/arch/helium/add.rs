//! Sums of two int8 inputs, four elements at once.

use core::arch::naked_asm;

/// What `crate::binary` says of a sum, as instructions take it; in the order in which they are loaded.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Sum {
    /// Multiplier of the second input, not doubled.
    pub b_multiplier: i32,
    /// Right shift of the second input and 2, negative.
    pub b_shift: i32,
    /// 1.
    pub one: i32,
    /// 1, or -1 where the second input is subtracted.
    pub b_sign: i32,
    /// What the first input's zero point takes from the sum.
    pub a_offset: i32,
    /// Multiplier of the sum, not doubled.
    pub multiplier: i32,
    /// Right shift of the sum and 2, negative.
    pub shift: i32,
    /// Zero point of the output.
    pub zero_point: i32,
    /// What a step of the first input adds to the sum.
    pub a_factor: i32,
    /// The second input's zero point, negative and shifted left by 20.
    pub b_offset: i32,
}

/// Sums of the elements of both inputs, as many as all slices have, with the range of the type.
#[inline(always)]
pub fn add(sum: &Sum, a: &[i8], b: &[i8], output: &mut [i8]) {
    let len = a.len().min(b.len()).min(output.len());
    if len > 0 {
        // SAFETY: `len` is not 0, and each slice has so many elements.
        unsafe { vectors(output.as_mut_ptr(), a.as_ptr(), b.as_ptr(), len, sum) };
    }
}

/// As [`add`], in place of the first input.
#[inline(always)]
pub fn add_in_place(sum: &Sum, a: &mut [i8], b: &[i8]) {
    let len = a.len().min(b.len());
    let first = a.as_mut_ptr();
    if len > 0 {
        // SAFETY: `len` is not 0, and each slice has so many elements.
        unsafe { vectors(first, first, b.as_ptr(), len, sum) };
    }
}

/// Multiplies by a number between 2^30 and 2^31 at r`$multiplier` and shifts to the right: what
/// `crate::binary::scaled` does. A quarter of a step down makes of half up half away from zero.
macro_rules! scaled {
    ($value:literal, $multiplier:literal, $shift:literal to $to:literal) => {
        concat!(
            concat!("vqrdmulh.s32 ", $value, ", ", $value, ", ", $multiplier, ";"),
            concat!("vshl.i32 ", $to, ", ", $value, ", #2;"),
            // Adds the upper half of twice the number, which is -1 where it is negative.
            concat!("vqdmlah.s32 ", $to, ", ", $value, ", r6;"),
            concat!("vrshl.s32 ", $to, ", ", $shift, ";"),
        )
    };
}

/// # Safety
/// `len` is not 0. There are so many elements at `a` and `b` and as much room at `output`, which may be `a`.
#[unsafe(naked)]
unsafe extern "C" fn vectors(
    output: *mut i8,
    a: *const i8,
    b: *const i8,
    len: usize,
    sum: *const Sum,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "ldr r12, [sp, #36]",
        "mov lr, r3",
        "ldrd r3, r4, [r12, #32]",
        "vdup.32 q3, r3",
        "mov r3, r4",
        "ldm r12, {{r4, r5, r6, r7, r8, r9, r10, r11}}",
        "dlstp.32 lr, lr",
        "2:",
        "vldrb.s32 q0, [r2], #4",
        "vshl.i32 q0, q0, #20",
        "vadd.i32 q0, q0, r3",
        scaled!("q0", "r4", "r5" to "q1"),
        "vldrb.s32 q0, [r1], #4",
        "vmlas.s32 q0, q3, r8",
        "vmla.s32 q0, q1, r7",
        scaled!("q0", "r9", "r10" to "q1"),
        "vadd.i32 q1, q1, r11",
        "vqmovnb.s32 q1, q1",
        "vqmovnb.s16 q1, q1",
        "vstrb.32 q1, [r0], #4",
        "letp lr, 2b",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}
