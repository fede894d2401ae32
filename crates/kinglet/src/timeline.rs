//! Memory over time: what lives at each step of a program, where it lies, and which step needs the most.

mod svg;

pub use svg::svg;

use crate::table::{bytes, short};
use kinglet_decide::{PeakStep, peak, step_bytes};
use kinglet_program::{Buffer, BufferId, Program, Region};
use serde::Serialize;

/// Characters of the longest bar.
const BAR: u64 = 40;

/// The memory of a program over its steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Timeline {
    /// Bytes of the arena.
    pub arena_bytes: u64,
    /// Bytes of state that outlives a run.
    pub state_bytes: u64,
    /// No placement of these buffers needs less arena than this.
    pub lower_bound: u64,
    /// Whether the arena is proved to be as small as it can be for this order of steps.
    pub optimal: bool,
    /// The step that needs the most.
    pub peak: Option<PeakStep>,
    /// The steps.
    pub steps: Vec<TimelineStep>,
    /// The arena's buffers by offset.
    pub buffers: Vec<TimelineBuffer>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineStep {
    /// Its number.
    pub step: usize,
    /// The node it computes, `3 conv2d "conv1"`.
    pub label: String,
    /// The kernel that is called.
    pub kernel: &'static str,
    /// Bytes of the arena that are live.
    pub live_bytes: u64,
}

/// What a buffer is to the model's callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An input.
    Input,
    /// An output, or an input and output at once.
    Output,
    /// A value in between.
    Value,
    /// Memory that a kernel needs during its call.
    Scratch,
}

/// One buffer of the arena.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimelineBuffer {
    /// Its start in the arena.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// The first step at which it is live.
    pub first: usize,
    /// The last one.
    pub last: usize,
    /// What it is to the model's callers.
    pub role: Role,
    /// The tensors it holds, one after the other or as aliases of each other: name and type.
    pub tensors: Vec<String>,
}

impl Timeline {
    /// The memory of a program.
    pub fn of(program: &Program) -> Self {
        let live = step_bytes(program);
        let steps = program.steps.iter().zip(&live).enumerate().map(|(index, (step, &bytes))| {
            TimelineStep {
                step: index,
                label: step.label.clone(),
                kernel: step.call.kernel.declaration().name,
                live_bytes: bytes,
            }
        });
        let arena = program.buffers.iter().enumerate();
        let arena = arena.filter(|(_, buffer)| buffer.region == Region::Arena && buffer.bytes > 0);
        let mut buffers: Vec<TimelineBuffer> =
            arena.map(|(index, buffer)| describe(program, BufferId(index), buffer)).collect();
        buffers.sort_by_key(|buffer| (buffer.offset, buffer.first, buffer.bytes));
        Self {
            arena_bytes: program.arena_bytes as u64,
            state_bytes: program.state_bytes as u64,
            lower_bound: program.arena_lower_bound as u64,
            optimal: program.arena_optimal,
            peak: peak(program),
            steps: steps.collect(),
            buffers,
        }
    }

    /// The arena in one sentence.
    pub fn summary(&self) -> String {
        let proof = match (self.optimal, self.arena_bytes) {
            (_, 0) => String::new(),
            (true, _) => ", proved minimal for this order of steps".to_owned(),
            (false, arena) => format!(
                ", at most {:.1} % above the lower bound of {}",
                100.0 * (arena as f64 / self.lower_bound.max(1) as f64 - 1.0),
                bytes(self.lower_bound)
            ),
        };
        format!(
            "arena {} bytes{proof}; state {} bytes",
            bytes(self.arena_bytes),
            bytes(self.state_bytes)
        )
    }

    /// For people: a bar for each step, then what lives at the peak.
    pub fn text(&self) -> String {
        let mut text = format!("memory over time: {}\n", self.summary());
        text.push_str("  step node                         bytes live\n");
        let most = self.steps.iter().map(|step| step.live_bytes).max().unwrap_or(0).max(1);
        let at_peak = self.peak.as_ref().map(|peak| peak.step);
        for step in &self.steps {
            let bar =
                "█".repeat(usize::try_from((step.live_bytes * BAR).div_ceil(most)).unwrap_or(0));
            let mark = if Some(step.step) == at_peak { " < peak" } else { "" };
            let label = step.label.split(" \"").next().unwrap_or_default();
            text.push_str(&format!(
                "  {:>4} {label:<27} {:>11} {bar}{mark}\n",
                step.step,
                bytes(step.live_bytes)
            ));
        }
        if let Some(peak) = &self.peak {
            text.push_str(&format!(
                "  alive at the peak, step {}, {} bytes{}:\n",
                peak.step,
                bytes(peak.bytes),
                shared(peak)
            ));
            for tensor in &peak.tensors {
                text.push_str(&format!(
                    "    {:>11}  {:<22} {}\n",
                    bytes(tensor.bytes),
                    tensor.ty,
                    short(&tensor.name)
                ));
            }
        }
        text
    }
}

fn describe(program: &Program, id: BufferId, buffer: &Buffer) -> TimelineBuffer {
    let infos = buffer.tensors.iter().filter_map(|tensor| program.tensors.get(tensor.index()));
    let mut tensors: Vec<String> = infos.map(|info| format!("{} {}", info.name, info.ty)).collect();
    let role = if program.outputs.iter().any(|port| port.buffer == id) {
        Role::Output
    } else if program.inputs.iter().any(|port| port.buffer == id) {
        Role::Input
    } else if tensors.is_empty() {
        Role::Scratch
    } else {
        Role::Value
    };
    if tensors.is_empty() && !buffer.label.is_empty() {
        tensors.push(buffer.label.clone());
    }
    TimelineBuffer {
        offset: buffer.offset as u64,
        bytes: buffer.bytes as u64,
        first: buffer.first,
        last: buffer.last,
        role,
        tensors,
    }
}
/// What the tensors at the peak share, to be said behind its bytes.
pub fn shared(peak: &PeakStep) -> String {
    match peak.shared {
        0 => String::new(),
        both => format!(", with {} that the output takes over row by row", bytes(both)),
    }
}
