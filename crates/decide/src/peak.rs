//! Which step needs the most memory, and what lives then.

use kinglet_program::{Buffer, Program, Region};
use serde::Serialize;
use std::ops::Range;

/// The step at which the most of the arena is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PeakStep {
    /// Its number.
    pub step: usize,
    /// The node it computes, `3 conv2d "conv1"`.
    pub label: String,
    /// Bytes that are live then.
    pub bytes: u64,
    /// Bytes that the step's input and output share: it overwrites what it has read.
    pub shared: u64,
    /// What is live, the largest first.
    pub tensors: Vec<PeakTensor>,
}

/// Something that is live at the peak.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PeakTensor {
    /// The tensors' names, or what else it is.
    pub name: String,
    /// The first tensor's type, `i8[1,24,24,16]`; empty for scratch.
    #[serde(rename = "type")]
    pub ty: String,
    /// Bytes.
    pub bytes: u64,
}

/// The arena buffers that are live at a step.
fn live(program: &Program, step: usize) -> impl Iterator<Item = &Buffer> {
    let buffers = program.live(step).map(|(_, buffer)| buffer);
    buffers.filter(|buffer| buffer.region == Region::Arena)
}

/// Bytes that the input and the output of a step share, if they share any.
fn shared(program: &Program, step: usize) -> Option<u64> {
    let overlapping = program.overlapping(&program.steps.get(step)?.call)?;
    let images: usize = overlapping.images.iter().map(Range::len).sum();
    Some((images - overlapping.memory.len()) as u64)
}

/// Bytes of the arena that are live at each step; what two tensors share counts once.
pub fn step_bytes(program: &Program) -> Vec<u64> {
    // By differences: long models have thousands of steps and buffers.
    let steps = program.steps.len().max(1);
    let mut change = vec![0i64; steps + 1];
    for buffer in program.buffers.iter().filter(|buffer| buffer.region == Region::Arena) {
        let (first, last) = (buffer.first.min(steps - 1), buffer.last.min(steps - 1));
        let bytes = i64::try_from(buffer.bytes).unwrap_or(i64::MAX);
        change[first] = change[first].saturating_add(bytes);
        change[last + 1] = change[last + 1].saturating_sub(bytes);
    }
    let mut sum = 0i64;
    let sums = change.iter().take(steps).enumerate().map(|(step, change)| {
        sum = sum.saturating_add(*change);
        u64::try_from(sum).unwrap_or(0).saturating_sub(shared(program, step).unwrap_or(0))
    });
    sums.collect()
}

/// The step that needs the most, the first of them if several do; `None` for a program without steps or
/// without memory.
pub fn peak(program: &Program) -> Option<PeakStep> {
    let sums = step_bytes(program);
    let most = sums.iter().copied().max().filter(|&bytes| bytes > 0)?;
    let step = sums.iter().position(|&bytes| bytes == most)?;
    let label = program.steps.get(step).map_or_else(String::new, |step| step.label.clone());
    let mut tensors: Vec<PeakTensor> = live(program, step).map(|b| describe(program, b)).collect();
    tensors.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    let shared = shared(program, step).unwrap_or(0);
    Some(PeakStep { step, label, bytes: most, shared, tensors })
}

fn describe(program: &Program, buffer: &Buffer) -> PeakTensor {
    let infos = buffer.tensors.iter().filter_map(|tensor| program.tensors.get(tensor.index()));
    let names: Vec<&str> = infos.clone().map(|info| info.name.as_str()).collect();
    PeakTensor {
        name: match names.len() {
            0 => buffer.label.clone(),
            // Aliases and in-place results: the last one is what the buffer ends as.
            1 => names[0].to_owned(),
            more => format!("{} (and {} more in the same place)", names[0], more - 1),
        },
        ty: infos.clone().next().map_or_else(String::new, |info| info.ty.to_string()),
        bytes: buffer.bytes as u64,
    }
}

/// How much lower the peak would be if the largest thing that lives then took no memory: no change to
/// that one tensor alone can save more.
pub(crate) fn largest_saving(program: &Program, peak: &PeakStep) -> u64 {
    let Some(largest) = live(program, peak.step).max_by_key(|buffer| buffer.bytes) else {
        return 0;
    };
    let sums = step_bytes(program);
    let lowered = sums.iter().enumerate().map(|(step, &bytes)| {
        if !(largest.first..=largest.last).contains(&step) {
            return bytes;
        }
        // What it shares at its first or last step stays.
        let at_end = step == largest.first || step == largest.last;
        let shared = if at_end { shared(program, step).unwrap_or(0) } else { 0 };
        bytes.saturating_sub((largest.bytes as u64).saturating_sub(shared))
    });
    peak.bytes.saturating_sub(lowered.max().unwrap_or(0))
}
