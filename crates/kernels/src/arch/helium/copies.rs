//! Copies by vectors.

use super::Rectangles;
use core::arch::naked_asm;

/// As its portable twin.
#[inline(always)]
pub(super) fn copy(rectangles: &Rectangles, from: &[i8], to: &mut [i8]) {
    let call = Copy::new(rectangles, from, to);
    // SAFETY: the caller has seen that there are places and rows, of 1 to 16 elements, and that all are there in
    // both slices.
    unsafe { copy_vectors(&raw const call) };
}

/// Rows that are copied, in the order of registers.
#[repr(C)]
pub(super) struct Copy {
    to: *mut i8,
    pub(super) from: *const i8,
    len: usize,
    rows: usize,
    rows_apart: [usize; 2],
    places: usize,
    places_apart: [usize; 2],
}

impl Copy {
    #[inline(always)]
    pub(super) fn new(rectangles: &Rectangles, from: &[i8], to: &mut [i8]) -> Self {
        Self {
            to: to.as_mut_ptr(),
            from: from.as_ptr(),
            len: rectangles.len,
            rows: rectangles.rows,
            rows_apart: rectangles.rows_apart,
            places: rectangles.places,
            places_apart: rectangles.places_apart,
        }
    }
}

/// Copies rows of at most one vector.
///
/// # Safety
/// `rows` and `places` are not 0, `len` is 1 to 16, and each row of each place has `len` elements on both sides.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn copy_vectors(call: *const Copy) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, r7, r8, r9, r10, lr}}",
        "ldm r0, {{r0, r1, r2, r3, r4, r5, r6, r7, r8}}",
        "vctp.8 r2",
        "2:",
        "mov r9, r0",
        "mov r10, r1",
        "dls lr, r3",
        "3:",
        "vpst",
        "vldrbt.u8 q0, [r10]",
        "add r10, r10, r4",
        "vpst",
        "vstrbt.8 q0, [r9]",
        "add r9, r9, r5",
        "le lr, 3b",
        "add r0, r0, r8",
        "add r1, r1, r7",
        "subs r6, r6, #1",
        "bne 2b",
        "pop {{r4, r5, r6, r7, r8, r9, r10, pc}}",
    )
}

/// Copies rows of `len` bytes, `from_step` bytes apart, to rows `to_step` bytes apart; says whether all of them are
/// there, without which nothing is done.
#[inline(always)]
pub fn copy_rows(
    rows: usize,
    len: usize,
    from: &[u8],
    from_step: usize,
    to: &mut [u8],
    to_step: usize,
) -> bool {
    let Some(last) = rows.checked_sub(1) else { return true };
    let inside = |step: usize, all: usize| {
        last.checked_mul(step).and_then(|at| at.checked_add(len)).is_some_and(|end| end <= all)
    };
    let all_there = len > 0 && inside(from_step, from.len()) && inside(to_step, to.len());
    if all_there {
        // SAFETY: there are rows, none is empty, and each has `len` bytes on both sides.
        unsafe { copy_bytes(to.as_mut_ptr(), from.as_ptr(), len, rows, from_step, to_step) };
    }
    all_there
}

/// Copies rows of any length.
///
/// # Safety
/// Neither `rows` nor `len` is 0, and each row has `len` bytes on both sides, which do not overlap.
#[unsafe(naked)]
unsafe extern "C" fn copy_bytes(
    to: *mut u8,
    from: *const u8,
    len: usize,
    rows: usize,
    from_step: usize,
    to_step: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, lr}}",
        "ldrd r4, r12, [sp, #16]",
        "2:",
        "mov r5, r0",
        "mov r6, r1",
        "dlstp.8 lr, r2",
        "3:",
        "vldrb.u8 q0, [r6], #16",
        "vstrb.8 q0, [r5], #16",
        "letp lr, 3b",
        "add r0, r0, r12",
        "add r1, r1, r4",
        "subs r3, r3, #1",
        "bne 2b",
        "pop {{r4, r5, r6, pc}}",
    )
}
