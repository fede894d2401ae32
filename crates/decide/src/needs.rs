//! What a program needs, whatever the board.

use crate::table::{CodeTable, Entry, rounded, uses};
use kinglet_boards::Core;
use kinglet_program::{ALIGNMENT, Program};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How figures were obtained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Arena, state, weights and check vector exact; code and stack from the measured table, with its error.
    #[default]
    Predicted,
    /// Everything from a linked example and its run.
    Measured,
}

/// What the compiler optimizes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimize {
    /// Speed: `opt-level = 3`.
    #[default]
    Speed,
    /// Size: `opt-level = "s"`.
    Size,
}

impl Optimize {
    /// The optimization level as the table names it.
    pub const fn level(self) -> &'static str {
        match self {
            Optimize::Speed => "3",
            Optimize::Size => "s",
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// What the compiler optimizes for.
    pub optimize: Optimize,
    /// Whether floating point by library calls is accepted on a core without a unit for it.
    pub soft_float: bool,
    /// Whether the vector of `check()` is linked too, as the emitted example does.
    pub check: bool,
}

/// Bytes that a program needs, by what they are for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// How they were obtained.
    pub basis: Basis,
    /// RAM that means nothing from one run to the next, a multiple of [`ALIGNMENT`].
    pub arena: u64,
    /// RAM that outlives a run.
    pub state: u64,
    /// Other variables.
    pub statics: u64,
    /// The stack at its deepest.
    pub stack: u64,
    /// How far the stack may be off, either way; 0 when measured.
    pub stack_error: u64,
    /// The vector table.
    pub vectors: u64,
    /// Machine code and what the compiler keeps beside it: parameters of kernels, tables of jumps, texts.
    pub code: u64,
    /// How far the code may be off, either way; 0 when measured.
    pub code_error: u64,
    /// The input and output that `check()` stores.
    pub check: u64,
    /// Constants of all steps, weights and tables: `weights.bin` to a multiple of [`ALIGNMENT`].
    pub weights: u64,
    /// Start values of variables.
    pub data: u64,
    /// Flash lost between sections.
    pub padding: u64,
    /// What was assumed on the way.
    pub notes: Vec<String>,
}

impl Needs {
    /// All of RAM.
    pub fn ram(&self) -> u64 {
        [self.arena, self.state, self.statics, self.stack].into_iter().fold(0, u64::saturating_add)
    }

    /// All of flash.
    pub fn flash(&self) -> u64 {
        let parts = [self.vectors, self.code, self.check, self.weights, self.data, self.padding];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// Bytes of read-only data that hold the kernels' parameters: one copy of each value, aligned as its type
/// asks for. Only kernels that several steps call by reference need them as data: the parameters of a
/// single call are folded into the code.
pub fn parameter_bytes(program: &Program) -> u64 {
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for step in program.steps.iter().filter(|step| step.call.shared) {
        *calls.entry(step.call.kernel.declaration().name).or_default() += 1;
    }
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for step in &program.steps {
        let kernel = step.call.kernel.as_ref();
        let name = kernel.declaration().name;
        if calls.get(name).is_none_or(|&calls| calls < 2) {
            continue;
        }
        let mut value = name.as_bytes().to_vec();
        kernel.encode(&mut |part| value.extend_from_slice(part));
        if seen.insert(value) {
            bytes += size_of_val(kernel) as u64;
        }
    }
    bytes
}

/// Bytes of the input and output that `check()` stores.
pub fn check_bytes(program: &Program) -> u64 {
    let ports = program.inputs.iter().chain(&program.outputs);
    ports.map(|port| port.ty.bytes() as u64).fold(0, u64::saturating_add)
}

/// What a program needs on a core, without building it. `weights` is the length of its block of
/// constants in bytes.
pub fn predict(program: &Program, weights: u64, core: &Core, settings: &Settings) -> Needs {
    predict_from(CodeTable::embedded(), program, weights, core, settings)
}

/// As a linked program holds a block: to its alignment.
fn whole(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(ALIGNMENT as u64).unwrap_or(bytes)
}

pub(crate) fn predict_from(
    table: &CodeTable,
    program: &Program,
    weights: u64,
    core: &Core,
    settings: &Settings,
) -> Needs {
    let mut needs = Needs {
        arena: whole(program.arena_bytes as u64),
        state: program.state_bytes as u64,
        weights: whole(weights),
        check: if settings.check { check_bytes(program) } else { 0 },
        ..Needs::default()
    };
    match table.entry(core, settings.optimize.level()) {
        Some((entry, stand_in)) => {
            add_measured(&mut needs, entry, program);
            if let Some(stand_in) = stand_in {
                needs.code_error += rounded(needs.code as f64 * stand_in.error);
                needs.stack_error += rounded(needs.stack as f64 * stand_in.error);
                needs.notes.push(stand_in.note);
            }
        }
        None => needs.notes.push("nothing was measured: code and stack are not counted".to_owned()),
    }
    needs
}

fn add_measured(needs: &mut Needs, entry: &Entry, program: &Program) {
    let ports = program.inputs.len() + program.outputs.len();
    let estimate = entry.estimate(&uses(program), program.steps.len(), ports);
    needs.vectors = entry.vectors;
    needs.code = estimate.code.saturating_add(parameter_bytes(program));
    needs.code_error = estimate.code_error;
    needs.stack = estimate.stack;
    needs.stack_error = estimate.stack_error;
    needs.statics = entry.statics;
    needs.data = entry.data;
    if !estimate.unknown.is_empty() {
        needs.notes.push(format!(
            "not measured on {} at opt-level {}, estimated from other kernels: {}",
            entry.core,
            entry.level,
            estimate.unknown.join(", ")
        ));
    }
}
