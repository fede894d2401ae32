//! Where the instructions of an inference go: exact counts for each operator, on the emulated board.
//!
//! The firmware is the one that `run` and `verify` measure, byte for byte: nothing is added to it. It runs
//! twice. The first run counts by address, which tells the instructions of the printed crate's own code
//! that are executed once. The second stops the count at each of them: between two that follow each other
//! only calls can lie, so where the count jumps a kernel was called, and what it took is exact
//! (`attribute`). Both runs must count the same total.

mod attribute;
mod bound;
mod timing;

pub use bound::{Bound, bound};
pub use timing::Time;

use crate::batch::Batch;
use crate::engine;
use crate::measure;
use crate::model::Model;
use crate::printed;
use attribute::Segment;
use kinglet_boards::Board;
use kinglet_decide::Optimize;
use kinglet_device::{
    Basis, Cache, Cases, Count, Elf, Emulation, InferenceCount, ModelCrate, Request, by_function,
};
use kinglet_diag::{Diagnostic, Result, bug, code};
use kinglet_graph::{NodeId, Tensor};
use kinglet_program::{Options, Program};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use timing::Timing;

/// Inferences of a run: the last one is shown.
const INFERENCES: usize = 3;

/// Where the instructions of one inference go.
#[derive(Clone, Debug, Serialize)]
pub struct Profile {
    /// The board that was asked for.
    pub board: String,
    /// Its core.
    pub core: String,
    /// The emulated board that it ran on.
    pub emulated: String,
    /// What the compiler optimized for.
    pub optimize: Optimize,
    /// Instructions of the inference.
    pub instructions: u64,
    /// Multiply-accumulates, dense: a filter tap on padding counts.
    pub macs: u64,
    /// Multiply-accumulates an instruction.
    pub macs_per_instruction: f64,
    /// Instructions outside the operators: calling the inference, and returning from it.
    pub outside: u64,
    /// How long it takes on the core itself; absent for cores without figures.
    pub time: Option<Time>,
    /// The longest that a run in slices keeps from other work.
    pub longest_slice: Slice,
    /// What the operators are compared with; absent for cores without a figure.
    pub bound: Option<Bound>,
    /// The operators in the order they run. Their instructions and `outside` add up to the total.
    pub operators: Vec<OperatorProfile>,
    /// The functions of the linked program, the most expensive first. Their instructions add up to the total.
    pub functions: Vec<FunctionProfile>,
}

/// A slice of a run that is made step by step, as long as its steps take in a whole run: calling
/// `Slices::step` comes to that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Slice {
    /// The step; several where they cannot be told apart, and each is shorter.
    pub steps: Vec<usize>,
    /// Instructions.
    pub instructions: u64,
    /// Cycles, predicted, where the core has figures.
    pub cycles: Option<u64>,
}

impl Slice {
    /// The longest of all; the first of several.
    fn longest(segments: &[Segment]) -> Self {
        let longest = segments.iter().rev().max_by_key(|segment| segment.instructions);
        longest
            .map(|segment| Self {
                steps: segment.steps.clone().collect(),
                instructions: segment.instructions,
                cycles: segment.cycles,
            })
            .unwrap_or_default()
    }
}

/// What one operator takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorProfile {
    /// The steps of the program that compute it.
    pub steps: Vec<usize>,
    /// The nodes of the model: one, but where steps cannot be told apart.
    pub nodes: Vec<NodeName>,
    /// The operator's name.
    pub operator: String,
    /// Types of its outputs.
    pub outputs: Vec<String>,
    /// The kernels that compute it, as they are declared.
    pub kernels: Vec<String>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Instructions, with the preparation of the kernels' arguments.
    pub instructions: u64,
    /// Cycles, predicted, where the core has figures.
    pub cycles: Option<u64>,
    /// The share of the total instructions, 0 to 1.
    pub share: f64,
    /// Multiply-accumulates an instruction; absent without any.
    pub macs_per_instruction: Option<f64>,
    /// Instructions at the bound; absent without multiply-accumulates or bound.
    pub bound_instructions: Option<u64>,
    /// Instructions over those at the bound.
    pub times_bound: Option<f64>,
}

/// A node of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeName {
    /// Its index in the file.
    pub index: usize,
    /// Its own name, or its first output's.
    pub name: String,
}

/// What one function of the linked program takes, without what it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FunctionProfile {
    /// Its readable name.
    pub name: String,
    /// Instructions.
    pub instructions: u64,
}

/// A profile, and warnings from making it.
#[derive(Clone, Debug)]
pub struct Profiled {
    /// The profile.
    pub profile: Profile,
    /// Warnings.
    pub notes: Vec<Diagnostic>,
}

/// Runs a model on the emulated machine that stands for a board and counts what each operator takes: of the
/// last of three inferences with made-up inputs, state kept from one to the next.
///
/// # Errors
/// What cannot be lowered, built or emulated; K0714 where the emulator does not count one by one.
pub fn profile(model: &Model, board: &Board, optimize: Optimize) -> Result<Profiled> {
    let program = model.program(&board.target(), &Options::default())?;
    let emulation = Emulation::of(board, measure::device_needs(&program))?;
    let printed = printed::source(model, &program, false);
    let batch = Batch::made_up(&model.graph, INFERENCES, 1).in_sequence();
    let runner = Runner {
        cache: Cache::open()?,
        printed: &printed,
        emulation: &emulation,
        cases: engine::cases(model, &batch)?,
        optimize,
    };
    let (by_address, elf, notes) = runner.run(Count::Profile, &[], None)?;
    let sites = Sites::find(&printed, &program, &elf)?;
    let timing = Timing::of(board, &emulation, &elf, &by_address);
    let marks: Vec<String> =
        sites.marks(&elf, &by_address).iter().map(|address| format!("{address:#x}")).collect();
    let costs = timing.as_ref().map(|timing| &timing.costs);
    let (marked, ..) = runner.run(Count::Instructions, &marks, costs)?;
    if marked.instructions != by_address.instructions {
        return Err(bug(format!(
            "two runs of one program counted {} and {} instructions",
            by_address.instructions, marked.instructions
        )));
    }
    let body = |address| sites.body_of(&elf, address);
    let cut = |marks: &[(u64, u64)], total| {
        attribute::segments(&sites.entries, &body, marks, total)
            .ok_or_else(|| bug("the calls of the linked program are not the steps of the model"))
    };
    let mut segments = cut(&marked.marks, marked.instructions)?;
    let time = match (&timing, marked.costs.split_last()) {
        (Some(timing), Some((total, costs))) => {
            let addresses = marked.marks.iter().map(|(address, _)| *address);
            let marks: Vec<(u64, u64)> = addresses.zip(costs.iter().copied()).collect();
            for (segment, costs) in segments.iter_mut().zip(cut(&marks, *total)?) {
                segment.cycles = Some(timing::cycles(costs.instructions));
            }
            Some(timing.time(*total))
        }
        _ => None,
    };
    let functions = by_function(&by_address, &elf);
    let bound = bound(board.target());
    let operators = operators(model, &program, &segments, bound.as_ref(), marked.instructions);
    let inside: u64 = operators.iter().map(|operator| operator.instructions).sum();
    let macs = operators.iter().map(|operator| operator.macs).sum();
    let profile = Profile {
        board: board.id.clone(),
        core: board.core.name.clone(),
        emulated: emulation.emulated.clone(),
        optimize,
        instructions: marked.instructions,
        macs,
        macs_per_instruction: macs as f64 / marked.instructions.max(1) as f64,
        outside: marked.instructions.saturating_sub(inside),
        time,
        longest_slice: Slice::longest(&segments),
        bound,
        operators,
        functions: functions
            .into_iter()
            .map(|(name, instructions)| FunctionProfile { name, instructions })
            .collect(),
    };
    Ok(Profiled { profile, notes })
}

/// Runs one build of a model.
struct Runner<'a> {
    cache: Cache,
    printed: &'a ModelCrate,
    emulation: &'a Emulation,
    cases: Cases,
    optimize: Optimize,
}

impl Runner<'_> {
    /// The counts of the last inference, the program, and warnings.
    fn run(
        &self,
        count: Count,
        marks: &[String],
        costs: Option<&BTreeMap<u64, u64>>,
    ) -> Result<(InferenceCount, Elf, Vec<Diagnostic>)> {
        let mut outcome = kinglet_device::run(
            &self.cache,
            &Request {
                model: self.printed,
                core: &self.emulation.core,
                machine: &self.emulation.machine,
                profile: measure::profile(self.optimize),
                taps: false,
                cases: &self.cases,
                count,
                marks,
                costs,
                timeout: engine::TIMEOUT,
            },
        )?;
        if outcome.basis != Basis::Exact || outcome.counts.len() != INFERENCES {
            let why = outcome.notes.first().map_or_else(
                || "the emulator does not count instructions one by one".to_owned(),
                |note| note.message.clone(),
            );
            return Err(Diagnostic::error(code::COUNT_INEXACT, why)
                .help("a profile needs a QEMU that loads plug-ins; `kinglet doctor` checks it")
                .into());
        }
        let counts = outcome.counts.pop().ok_or_else(|| bug("a run without an inference"))?;
        Ok((counts, Elf::read(&outcome.firmware.path)?, outcome.notes))
    }
}

/// What of the linked program belongs to what.
struct Sites {
    /// For each step, the addresses at which its function begins; none where it has no function of its own.
    entries: Vec<BTreeSet<u64>>,
    /// The beginnings of the functions that call the steps.
    body: BTreeSet<u64>,
}

impl Sites {
    fn find(printed: &ModelCrate, program: &Program, elf: &Elf) -> Result<Self> {
        let own = format!("{}::", printed.package_name()?.replace('-', "_"));
        let functions: Vec<(u64, String)> = elf
            .symbols()
            .iter()
            .filter(|symbol| symbol.code && symbol.size > 0)
            .map(|symbol| (symbol.address, path(&symbol.name)))
            .collect();
        let named = |wanted: &dyn Fn(&str) -> bool| -> BTreeSet<u64> {
            let found = functions.iter().filter(|(_, name)| wanted(name));
            found.map(|(address, _)| *address).collect()
        };
        let entries: Vec<BTreeSet<u64>> = program
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| {
                let own_function = format!("{own}step_{index}");
                let found = named(&|name| name == own_function);
                if !found.is_empty() || !step.call.shared {
                    return found;
                }
                let method = match program.overlapping(&step.call) {
                    Some(_) => "run_overlapping",
                    None => "run",
                };
                let run = format!("::{}::{method}", step.call.kernel.declaration().params);
                named(&|name| name.starts_with("kinglet_kernels::") && name.ends_with(&run))
            })
            .collect();
        let mut body =
            named(&|name| name.starts_with(&own) || name.starts_with("kinglet_firmware::infer"));
        body.retain(|address| !entries.iter().any(|entry| entry.contains(address)));
        Ok(Self { entries, body })
    }

    /// The beginning of the function that holds an address, if it is one of those that call the steps.
    fn body_of(&self, elf: &Elf, address: u64) -> Option<u64> {
        let (symbol, _) = elf.function_at(address)?;
        self.body.contains(&symbol.address).then_some(symbol.address)
    }

    /// Where the count is taken: at what is executed once in the functions that call the steps, and where
    /// the steps begin.
    fn marks(&self, elf: &Elf, count: &InferenceCount) -> BTreeSet<u64> {
        let once = count.by_address.iter().filter(|(_, times)| **times == 1);
        let body = once.map(|(address, _)| *address);
        let body = body.filter(|address| self.body_of(elf, *address).is_some());
        body.chain(self.entries.iter().flatten().copied()).collect()
    }
}

/// A function's path without what differs between ways of writing it: `<a::B>::run` is `a::B::run`.
fn path(name: &str) -> String {
    let name = name.split(" (").next().unwrap_or(name);
    let name = name.split(".llvm.").next().unwrap_or(name);
    let name = name.split(".specialized.").next().unwrap_or(name);
    name.replace(['<', '>'], "")
}

/// Segments to operators: steps of one node that follow each other are one entry.
fn operators(
    model: &Model,
    program: &Program,
    segments: &[Segment],
    bound: Option<&Bound>,
    total: u64,
) -> Vec<OperatorProfile> {
    let mut entries: Vec<(Vec<usize>, Vec<usize>, Segment)> = Vec::new();
    for segment in segments {
        let steps: Vec<usize> = segment.steps.clone().collect();
        let mut nodes: Vec<usize> =
            steps.iter().filter_map(|&step| program.steps.get(step)).map(|s| s.node).collect();
        nodes.dedup();
        match entries.last_mut() {
            Some((of, to, sum)) if *of == nodes => {
                to.extend(steps);
                sum.instructions += segment.instructions;
                sum.cycles = sum.cycles.zip(segment.cycles).map(|(sum, more)| sum + more);
            }
            _ => entries.push((nodes, steps, segment.clone())),
        }
    }
    let graph = &model.optimized;
    let mut seen = BTreeSet::new();
    let mut operators = Vec::new();
    for (nodes, steps, Segment { instructions, cycles, .. }) in entries {
        let mut entry = OperatorProfile {
            kernels: Vec::new(),
            nodes: Vec::new(),
            operator: String::new(),
            outputs: Vec::new(),
            macs: 0,
            instructions,
            cycles,
            share: instructions as f64 / total.max(1) as f64,
            macs_per_instruction: None,
            bound_instructions: None,
            times_bound: None,
            steps,
        };
        for step in entry.steps.iter().filter_map(|&step| program.steps.get(step)) {
            let name = step.call.kernel.declaration().name.to_owned();
            if !entry.kernels.contains(&name) {
                entry.kernels.push(name);
            }
        }
        for index in nodes {
            let Some(node) = graph.nodes.get(index) else { continue };
            let inputs: Vec<Option<&Tensor>> =
                node.inputs.iter().map(|input| input.map(|id| graph.tensor(id))).collect();
            let outputs: Vec<&Tensor> = node.outputs.iter().map(|&id| graph.tensor(id)).collect();
            // The work of a node counts once, whatever lies between its steps.
            if seen.insert(index) {
                entry.macs += node.op.cost(&inputs, &outputs).macs;
            }
            entry.nodes.push(NodeName {
                index: node.origin.map_or(NodeId::new(index).index(), |origin| origin as usize),
                name: node.name.clone(),
            });
            if !entry.operator.is_empty() {
                entry.operator.push('+');
            }
            entry.operator.push_str(node.op.name());
            entry.outputs.extend(outputs.iter().map(|tensor| tensor.ty.to_string()));
        }
        if entry.macs > 0 {
            entry.macs_per_instruction = Some(entry.macs as f64 / instructions.max(1) as f64);
            if let Some(bound) = bound {
                let least = (entry.macs as f64 / bound.macs_per_instruction).ceil().max(1.0);
                entry.bound_instructions = Some(least as u64);
                entry.times_bound = Some(instructions as f64 / least);
            }
        }
        operators.push(entry);
    }
    operators
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_slice_is_the_first_of_the_longest() {
        let segment = |steps, instructions| Segment { steps, instructions, cycles: None };
        let all = [segment(0..1, 5), segment(1..3, 9), segment(3..4, 9), segment(4..5, 1)];
        assert_eq!(
            Slice::longest(&all),
            Slice { steps: vec![1, 2], instructions: 9, cycles: None }
        );
        assert_eq!(Slice::longest(&[]), Slice::default());
    }

    #[test]
    fn paths_are_the_same_however_they_are_mangled() {
        assert_eq!(
            path("kinglet_kernels::conv2d::Conv2dI8::run"),
            "kinglet_kernels::conv2d::Conv2dI8::run"
        );
        assert_eq!(
            path("<kinglet_kernels::conv2d::Conv2dI8>::run"),
            "kinglet_kernels::conv2d::Conv2dI8::run"
        );
        assert_eq!(path("a::B::run (.llvm.123)"), "a::B::run");
        assert_eq!(path("a::B::run.specialized.1"), "a::B::run");
    }
}
