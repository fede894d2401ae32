//! The loops of [`super`] in instructions.
//!
//! Functions are naked and name the processor, so that they are assembled whatever processor the rest is
//! compiled for. They copy what they keep in memory to where sp points: one register less is taken, and several
//! are loaded at once.

use super::copies::{Copy, copy_vectors};
use super::{CHANNELS, Group, LANES, Layer, Rectangles, Run3, Whole};
use crate::chunks::Chunks;
use core::arch::naked_asm;

/// How much of the last vector a run of so many elements does not use.
#[inline(always)]
fn unused(len: usize) -> usize {
    len.wrapping_neg() % LANES
}

/// What the function for one place keeps in memory: the inputs, and where outputs go.
#[repr(C)]
struct Call {
    first: *const i8,
    unused: usize,
    len: usize,
    output: *mut i8,
    zero_point: i32,
    output_end: *mut i8,
}

/// Adds the products of as many inputs as lr says, sixteen a round: inputs at r1; rows at r3, r5, r7 and r9 with
/// sums in r0, r4, r2 and r6.
macro_rules! add_rows {
    () => {
        "dlstp.8 lr, lr; \
         31: vldrb.u8 q0, [r1], #16; \
         vldrb.u8 q1, [r3], #16; \
         vldrb.u8 q2, [r5], #16; \
         vldrb.u8 q3, [r7], #16; \
         vmladava.s8 r0, q0, q1; \
         vldrb.u8 q1, [r9], #16; \
         vmladava.s8 r4, q0, q2; \
         vmladava.s8 r2, q0, q3; \
         vmladava.s8 r6, q0, q1; \
         letp lr, 31b;"
    };
}

/// Groups of four channels from one run of inputs.
///
/// # Safety
/// `call` has at least one input, and place for a whole number of groups of outputs, which is not 0. For each of
/// them there are an element at `table`, and four rows of as many elements as the inputs have at `weights`,
/// `step` elements from one to the next: that number, or 0 when there is one group.
#[unsafe(naked)]
unsafe extern "C" fn one_run(
    call: *const Call,
    weights: *const i8,
    table: *const Group,
    step: usize,
) {
    naked_asm!(
        ".cpu cortex-m55",
        "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
        "vldmia r0, {{d0, d1, d2}}",
        "vpush {{d0, d1, d2}}",
        "mov r11, r3",
        "mov r12, r2",
        "mov r3, r1",
        "2:",
        "add r5, r3, r11",
        "add r7, r5, r11",
        "add r9, r7, r11",
        "ldm r12!, {{r0, r2, r4, r6}}",
        "ldm.w sp, {{r1, r8, lr}}",
        add_rows!(),
        "sub r3, r9, r8",
        "vmov q0[2], q0[0], r0, r2",
        "vmov q0[3], q0[1], r4, r6",
        "vldrw.u32 q1, [r12], #16",
        "ldrd r0, r1, [sp, #12]",
        "vqrdmulh.s32 q0, q0, q1",
        "ldr r2, [sp, #20]",
        // A negative value goes down by one, so that rounding half up becomes half away from zero.
        "vshr.s32 q1, q0, #31",
        "vldrw.u32 q2, [r12], #16",
        "vadd.i32 q0, q0, q1",
        "vrshl.s32 q0, q0, q2",
        "vadd.i32 q0, q0, r1",
        "vqmovnb.s32 q0, q0",
        "vqmovnb.s16 q0, q0",
        "vstrb.32 q0, [r0], #4",
        "str r0, [sp, #12]",
        "cmp r0, r2",
        "bne 2b",
        "add sp, #24",
        "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
    )
}

/// As its portable twin.
#[inline(never)]
pub(super) fn one_place(inputs: &[i8], layer: &Layer<'_>, output: &mut [i8]) {
    let depth = inputs.len();
    let Layer { weights, table, channels, zero_point } = *layer;
    let mut call = Call {
        first: inputs.as_ptr(),
        unused: unused(depth),
        len: depth,
        output: output.as_mut_ptr(),
        zero_point,
        output_end: core::ptr::null_mut(),
    };
    if channels < CHANNELS {
        for ((out, row), group) in output.iter_mut().zip(weights.whole_chunks(depth)).zip(table) {
            let mut values = [0; CHANNELS];
            let range = values.as_mut_ptr_range();
            (call.output, call.output_end) = (range.start, range.end);
            // SAFETY: the caller has seen that there are inputs; the row has as many elements and stands for all four
            // of a group, for which there is room.
            unsafe { one_run(&raw const call, row.as_ptr(), group, 0) };
            let [value, ..] = values;
            *out = value;
        }
        return;
    }
    let groups = channels / CHANNELS;
    call.output_end = call.output.wrapping_add(groups.wrapping_mul(CHANNELS));
    // SAFETY: the caller has seen that there are inputs, weights and table for all channels, which are at least four,
    // and room for them. The last group of the table is that of the last four channels.
    unsafe {
        one_run(&raw const call, weights.as_ptr(), table.as_ptr(), depth);
        if !channels.is_multiple_of(CHANNELS) {
            let last = channels.wrapping_sub(CHANNELS);
            call.output = output.as_mut_ptr().wrapping_add(last);
            call.output_end = call.output.wrapping_add(CHANNELS);
            let row = weights.as_ptr().wrapping_add(last.wrapping_mul(depth));
            one_run(&raw const call, row, table.as_ptr().wrapping_add(groups), depth);
        }
    }
}

/// What the functions for three places keep in memory.
#[repr(C)]
struct Call3<S> {
    source: S,
    outputs: [*mut i8; 3],
    zero_point: i32,
    /// 1, for an instruction that takes its numbers from registers.
    one: i32,
    /// Where the first place's outputs end.
    output_end: *mut i8,
    /// Elements of two rows.
    two_rows: usize,
    padding: u32,
}

/// Adds the products of three times as many inputs as lr says, sixteen a round: inputs at r1, r3 and r5, rows at
/// r7 and r9, sums of the first row in r0, r4 and r8, of the second in r2, r6 and r10.
macro_rules! add_places {
    () => {
        "31: vldrb.u8 q0, [r1], #16; \
         vldrb.u8 q3, [r7], #16; \
         vldrb.u8 q1, [r3], #16; \
         vmladava.s8 r0, q0, q3; \
         vldrb.u8 q2, [r5], #16; \
         vmladava.s8 r4, q1, q3; \
         vmladava.s8 r8, q2, q3; \
         vldrb.u8 q3, [r9], #16; \
         vmladava.s8 r2, q0, q3; \
         vmladava.s8 r6, q1, q3; \
         vmladava.s8 r10, q2, q3; \
         letp lr, 31b;"
    };
}

/// The sums of two channels of three places start from their biases, at r12.
macro_rules! begin_pair {
    () => {
        "ldrd r0, r2, [r12], #8; \
         mov r4, r0; mov r6, r2; mov r8, r0; mov r10, r2;"
    };
}

/// The outputs of four channels of one place from their sums in a vector; multipliers in q0, shifts in q1, zero
/// point in r3, 1 in r4.
macro_rules! finish {
    ($sums:literal to $output:literal) => {
        concat!(
            concat!("vqrdmulh.s32 ", $sums, ", ", $sums, ", q0;"),
            // Adds the upper half of twice the number, which is -1 where it is negative: see `one_place`.
            concat!("vqdmlah.s32 ", $sums, ", ", $sums, ", r4;"),
            concat!("vrshl.s32 ", $sums, ", ", $sums, ", q1;"),
            concat!("vadd.i32 ", $sums, ", ", $sums, ", r3;"),
            concat!("vqmovnb.s32 ", $sums, ", ", $sums, ";"),
            concat!("vqmovnb.s16 ", $sums, ", ", $sums, ";"),
            concat!("vstrb.32 ", $sums, ", [", $output, "], #4;"),
        )
    };
}

/// The body of a function for three places: groups of four channels, channels 0 and 2 of a group first, then
/// 1 and 3. Weights are at r1, the table at r2, r3 goes to r11; `$sums` adds the products and leaves rows where
/// they end.
macro_rules! three_places {
    ($($sums:expr),+) => {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4, r5, r6, r7, r8, r9, r10, r11, lr}}",
            "vpush {{d8, d9, d10, d11, d12, d13}}",
            "vldmia r0, {{d0, d1, d2, d3, d4, d5}}",
            "vpush {{d0, d1, d2, d3, d4, d5}}",
            "mov r11, r3",
            "mov r12, r2",
            "mov r7, r1",
            "ldr r9, [sp, #40]",
            "add r9, r9, r7",
            "2:",
            begin_pair!(),
            $($sums,)+
            "vmov q4[2], q4[0], r0, r2",
            "vmov q5[2], q5[0], r4, r6",
            "vmov q6[2], q6[0], r8, r10",
            begin_pair!(),
            $($sums,)+
            "vmov q4[3], q4[1], r0, r2",
            "vmov q5[3], q5[1], r4, r6",
            "vmov q6[3], q6[1], r8, r10",
            "add r10, sp, #16",
            "vldrw.u32 q0, [r12], #16",
            "ldm r10, {{r0, r1, r2, r3, r4, r5, r6}}",
            "vldrw.u32 q1, [r12], #16",
            finish!("q4" to "r0"),
            finish!("q5" to "r1"),
            finish!("q6" to "r2"),
            "stm r10, {{r0, r1, r2}}",
            "mov r7, r9",
            "add r9, r9, r6",
            "cmp r0, r5",
            "bne 2b",
            "add sp, #48",
            "vpop {{d8, d9, d10, d11, d12, d13}}",
            "pop {{r4, r5, r6, r7, r8, r9, r10, r11, pc}}",
        )
    };
}

/// Groups of four channels of three places, each from one run of inputs, which is in memory as its three places
/// and its length.
///
/// # Safety
/// `call` has at least one input, and place for a whole number of groups of outputs, which is not 0, of each
/// place. For each of them there are an element at `table`, and four rows of as many elements as a place has
/// inputs at `weights`.
#[unsafe(naked)]
unsafe extern "C" fn one_run3(
    call: *const Call3<Run3>,
    weights: *const i8,
    table: *const Group,
    unused: usize,
) {
    three_places!(
        "ldm.w sp, {{r1, r3, r5, lr}}",
        "dlstp.8 lr, lr",
        add_places!(),
        "sub r7, r7, r11",
        "sub r9, r9, r11"
    )
}

/// As [`one_run3`], from runs of whole vectors with an empty one behind them.
///
/// # Safety
/// As for [`one_run3`]; rows have as many elements as the runs have together.
#[unsafe(naked)]
unsafe extern "C" fn many_runs3(
    call: *const Call3<[*const Run3; 4]>,
    weights: *const i8,
    table: *const Group,
    unused: usize,
) {
    three_places!(
        "ldr r11, [sp]",
        "4:",
        "ldm r11!, {{r1, r3, r5, lr}}",
        "wlstp.8 lr, lr, 5f",
        add_places!(),
        "b 4b",
        "5:"
    )
}

/// As its portable twin.
#[inline(always)]
pub(super) fn groups3_of(
    runs: Whole<'_>,
    layer: &Layer<'_>,
    output: &mut [i8],
    apart: usize,
    groups: usize,
) {
    let of_groups = groups.wrapping_mul(CHANNELS);
    // The last of three places ends here.
    let end = apart.wrapping_mul(2).wrapping_add(of_groups);
    if groups == 0
        || groups > layer.table.len()
        || layer.weights.len() < runs.depth.wrapping_mul(of_groups)
        || output.len() < end
    {
        return;
    }
    let first = output.as_mut_ptr();
    let second = first.wrapping_add(apart);
    let outputs = [first, second, second.wrapping_add(apart)];
    let output_end = first.wrapping_add(of_groups);
    let two_rows = runs.depth.wrapping_mul(2);
    let (weights, table) = (layer.weights.as_ptr(), layer.table.as_ptr());
    let zero_point = layer.zero_point;
    if let [run, _end] = *runs.runs {
        let call =
            Call3 { source: run, outputs, zero_point, one: 1, output_end, two_rows, padding: 0 };
        // SAFETY: `Whole` has one run, which is not empty. `groups` is not 0; there are as many elements of
        // `table`, four times as many rows at `weights`, and places for four times as many outputs from each of
        // the three pointers on: products do not overflow, as the callers have seen.
        unsafe { one_run3(&raw const call, weights, table, unused(run.len)) };
    } else {
        let source = [runs.runs.as_ptr(); 4];
        let call = Call3 { source, outputs, zero_point, one: 1, output_end, two_rows, padding: 0 };
        // SAFETY: as above; `Whole` has runs of whole vectors and an empty one behind them.
        unsafe { many_runs3(&raw const call, weights, table, 0) };
    }
}

/// A call for three places whose inputs are `depth` elements each, one behind the other.
#[inline(always)]
fn call_of_three(
    inputs: *const i8,
    depth: usize,
    outputs: *mut i8,
    apart: usize,
    channels: usize,
    zero_point: i32,
) -> Call3<Run3> {
    let second = outputs.wrapping_add(apart);
    Call3 {
        source: Run3::new(inputs, depth, depth),
        outputs: [outputs, second, second.wrapping_add(apart)],
        zero_point,
        one: 1,
        output_end: outputs.wrapping_add(channels),
        two_rows: depth.wrapping_mul(2),
        padding: 0,
    }
}

impl<S> Call3<S> {
    /// Moves where outputs go.
    #[inline(always)]
    fn move_outputs(&mut self, by: usize) {
        self.outputs = self.outputs.map(|first| first.wrapping_add(by));
        self.output_end = self.output_end.wrapping_add(by);
    }
}

/// Computes three rows of inputs at once; gives how many rows: what is left are less than three.
#[inline(always)]
pub(super) fn three_rows(
    input: &[i8],
    depth: usize,
    layer: &Layer<'_>,
    output: &mut [i8],
) -> usize {
    let done = rows_of_some_channels(input, depth, layer, output, 0);
    let last = layer.channels.wrapping_sub(CHANNELS);
    if !layer.channels.is_multiple_of(CHANNELS) {
        rows_of_some_channels(input, depth, layer, output, last);
    }
    done
}

/// Computes whole groups of channels from the first one on, for [`three_rows`].
#[inline(never)]
fn rows_of_some_channels(
    input: &[i8],
    depth: usize,
    layer: &Layer<'_>,
    output: &mut [i8],
    first: usize,
) -> usize {
    let Layer { weights, table, channels, zero_point } = *layer;
    let len = channels.wrapping_sub(first) / CHANNELS * CHANNELS;
    let weights = weights.as_ptr().wrapping_add(first.wrapping_mul(depth));
    let table = table.as_ptr().wrapping_add(first.div_ceil(CHANNELS));
    let (inputs, outputs) = (depth.wrapping_mul(3), channels.wrapping_mul(3));
    let to = output.as_mut_ptr().wrapping_add(first);
    let mut call = call_of_three(input.as_ptr(), depth, to, channels, len, zero_point);
    let (mut inputs_left, mut outputs_left) = (input.len(), output.len());
    let mut done = 0usize;
    while inputs_left >= inputs && outputs_left >= outputs {
        // SAFETY: there are three rows of inputs, none empty, and room for the channels of three places. The
        // callers have seen that there are at least four channels from the first one on, and weights and table for
        // all of them; the last group of the table is that of the last four channels.
        unsafe { one_run3(&raw const call, weights, table, unused(depth)) };
        call.source.first = call.source.first.map(|first| first.wrapping_add(inputs));
        call.move_outputs(outputs);
        inputs_left = inputs_left.wrapping_sub(inputs);
        outputs_left = outputs_left.wrapping_sub(outputs);
        done = done.wrapping_add(3);
    }
    done
}

/// As its portable twin.
#[inline(always)]
pub(super) fn gathered_threes(
    rectangles: &Rectangles,
    from: &[i8],
    patches: &mut [i8],
    skipped: usize,
    layer: &Layer<'_>,
    output: &mut [i8],
    threes: usize,
) {
    let [apart, depth] = rectangles.places_apart;
    let Layer { weights, table, channels, zero_point } = *layer;
    let outputs = output.as_mut_ptr();
    let mut call = call_of_three(patches.as_ptr(), depth, outputs, channels, channels, zero_point);
    let mut copy = Copy::new(rectangles, from, patches.get_mut(skipped..).unwrap_or(&mut []));
    for _ in 0..threes {
        // SAFETY: the caller has seen that the inputs of all places and room for three copies are there, weights and
        // table for all channels, which are whole groups, and room for the outputs.
        unsafe {
            copy_vectors(&raw const copy);
            one_run3(&raw const call, weights.as_ptr(), table.as_ptr(), unused(depth));
        }
        copy.from = copy.from.wrapping_add(apart.wrapping_mul(3));
        call.move_outputs(channels.wrapping_mul(3));
    }
}
