//! Rows of inputs of at most one vector: weights stay in registers.

use super::{CHANNELS, Group, LANES, Layer};
use core::arch::naked_asm;

/// What [`shallow`] keeps in memory.
#[repr(C)]
struct Shallow {
    input: *const i8,
    output: *mut i8,
    places: usize,
    channels: usize,
    groups: usize,
    zero_point: i32,
}

/// Computes rows of inputs of at most one vector, four channels at a time for all rows, so that weights are loaded
/// once. Gives how many rows: all but those that have no whole vector of inputs from their first one on.
#[inline(never)]
pub(super) fn shallow_rows(
    input: &[i8],
    depth: usize,
    layer: &Layer<'_>,
    output: &mut [i8],
) -> usize {
    let Layer { weights, table, channels, zero_point } = *layer;
    let Some(behind) = input.len().checked_sub(LANES) else { return 0 };
    let rows = behind.checked_div(depth).map_or(0, |last| last.wrapping_add(1));
    let places = rows.min(output.len().checked_div(channels).unwrap_or(0));
    let groups = channels / CHANNELS;
    // A few rows are not worth it.
    if places < 4 || !channels.is_multiple_of(CHANNELS) {
        return 0;
    }
    let call = Shallow {
        input: input.as_ptr(),
        output: output.as_mut_ptr(),
        places,
        channels,
        groups,
        zero_point,
    };
    // SAFETY: `places` is not 0, and from the first of `depth` inputs of each of them there is a whole vector;
    // `output` has `channels` elements for each. The caller has seen that weights and table are there for all
    // groups of channels, which are not 0.
    unsafe { shallow(&raw const call, weights.as_ptr(), table.as_ptr(), depth) };
    places
}

/// Groups of four channels, each for all places.
///
/// # Safety
/// `call.places`, `call.groups` and `depth` are not 0, `depth` is at most 16. Places begin `depth` elements apart at
/// `call.input`, and from the first element of each there are 16; their outputs begin `call.channels` elements
/// apart. For each group there are an element at `table` and four rows of `depth` elements at `weights`.
#[unsafe(naked)]
unsafe extern "C" fn shallow(
    call: *const Shallow,
    weights: *const i8,
    table: *const Group,
    depth: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vpush {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "push {{r0}}",
        "ldr r7, [r0, #4]",
        "ldrd r10, r5, [r0, #12]",
        "ldr r9, [r0, #20]",
        "mov r12, r2",
        "mov r11, r3",
        "mov r3, r1",
        "mov r8, #1",
        "push {{r7}}",
        "2:",
        // Beyond the rows' ends weights are 0, so that inputs there do not matter.
        "add r0, r3, r11",
        "add r2, r0, r11",
        "add r4, r2, r11",
        "vctp.8 r11",
        "vpstttt",
        "vldrbt.u8 q4, [r3]",
        "vldrbt.u8 q5, [r0]",
        "vldrbt.u8 q6, [r2]",
        "vldrbt.u8 q7, [r4]",
        "add r3, r4, r11",
        "ldrd r7, r4, [sp]",
        "vldrw.u32 q2, [r12, #16]",
        "ldr r1, [r4]",
        "ldr r4, [r4, #8]",
        "vldrw.u32 q3, [r12, #32]",
        "dls lr, r4",
        "3:",
        "vldrb.u8 q0, [r1]",
        "ldm r12, {{r0, r2, r4, r6}}",
        "vmladava.s8 r0, q0, q4",
        "add r1, r1, r11",
        "vmladava.s8 r4, q0, q5",
        "vmladava.s8 r2, q0, q6",
        "vmladava.s8 r6, q0, q7",
        "vmov q1[2], q1[0], r0, r2",
        "vmov q1[3], q1[1], r4, r6",
        "vqrdmulh.s32 q1, q1, q2",
        // As in `finish`.
        "vqdmlah.s32 q1, q1, r8",
        "vrshl.s32 q1, q1, q3",
        "vadd.i32 q1, q1, r9",
        "vqmovnb.s32 q1, q1",
        "vqmovnb.s16 q1, q1",
        "vstrb.32 q1, [r7]",
        "add r7, r7, r10",
        "le lr, 3b",
        "ldr r7, [sp]",
        "add r12, r12, #48",
        "add r7, r7, #4",
        "str r7, [sp]",
        "subs r5, r5, #1",
        "bne 2b",
        "add sp, #8",
        "vpop {{d8, d9, d10, d11, d12, d13, d14, d15}}",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}
