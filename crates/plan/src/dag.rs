//! The graph of steps whose order is looked for, and the memory an order takes.

use crate::{MAX_BLOCKS, MAX_BYTES, PlanError, at, id};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A value that steps hand on: from its writer to its last reader it occupies memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// Size in bytes.
    pub bytes: u64,
    /// The step that writes it; `None` for an input, which is there from the start.
    pub writer: Option<u32>,
    /// The steps that read it.
    pub readers: Vec<u32>,
    /// Whether it is still needed after the last step.
    pub kept: bool,
}

/// What a step needs beside the values it reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes needed during this step alone.
    pub scratch: u64,
    /// Pairs of a value it reads and one it writes that may lie in the same bytes, once nobody else
    /// needs the one that is read. A step saves memory by one of them, the largest.
    pub in_place: Vec<(u32, u32)>,
}

/// Steps, the values between them and what else orders them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dag {
    /// The steps, in the order in which they stand in the file. It need not be one that can run.
    pub steps: Vec<Step>,
    /// The values.
    pub values: Vec<Value>,
    /// Pairs of steps of which the first must run before the second, beside what values demand: a
    /// state that is read before it is assigned.
    pub before: Vec<(u32, u32)>,
}

impl Dag {
    /// Checks that indices exist, that sizes add up and that the steps can run at all.
    ///
    /// # Errors
    /// [`PlanError`] of the first thing found.
    pub fn check(&self) -> Result<(), PlanError> {
        Net::new(self).map(|_| ())
    }

    /// The most memory that is needed at any step of this order: the values live, the step's outputs
    /// and its scratch, less what it saves in place. Alignment is not counted.
    ///
    /// # Errors
    /// A malformed graph, or an order of it that cannot run.
    pub fn peak(&self, order: &[u32]) -> Result<u64, PlanError> {
        let net = Net::new(self)?;
        net.positions(order)?;
        let mut done = vec![false; net.steps.len()];
        let (mut live, mut peak) = (net.inputs, 0);
        for (position, &step) in order.iter().enumerate() {
            let cost = net.cost(at(step), live, position == 0, |step| done[step]);
            peak = peak.max(cost.during);
            live = cost.after;
            done[at(step)] = true;
        }
        Ok(peak)
    }

    /// The first and last position, inclusive, at which each value is live in this order.
    ///
    /// A value that is kept is live at one position more than there are steps, the one at which the
    /// caller reads it: so the last step cannot lay its output over it.
    ///
    /// # Errors
    /// A malformed graph, or an order of it that cannot run.
    pub fn lifetimes(&self, order: &[u32]) -> Result<Vec<(u32, u32)>, PlanError> {
        let net = Net::new(self)?;
        let positions = net.positions(order)?;
        let end = id(order.len());
        Ok(self
            .values
            .iter()
            .map(|value| {
                let first = value.writer.map_or(0, |writer| positions[at(writer)]);
                let read = value.readers.iter().map(|&reader| positions[at(reader)]).max();
                (first, if value.kept { end } else { read.unwrap_or(first) })
            })
            .collect())
    }
}

/// A value as the search sees it.
pub(crate) struct NetValue {
    pub bytes: u64,
    pub writer: Option<usize>,
    /// Ascending, each once.
    pub readers: Vec<usize>,
    pub kept: bool,
}

/// A step as the search sees it.
#[derive(Default)]
pub(crate) struct NetStep {
    scratch: u64,
    pub reads: Vec<usize>,
    pub writes: Vec<usize>,
    /// Values that may be overwritten and what that saves, the largest first.
    saves: Vec<(usize, u64)>,
    /// Bytes of all it writes.
    pub written: u64,
    /// Bytes of what it writes and is needed after it.
    handed_on: u64,
    pub before: Vec<usize>,
    pub after: Vec<usize>,
}

/// A checked graph with its edges both ways.
pub(crate) struct Net {
    pub steps: Vec<NetStep>,
    pub values: Vec<NetValue>,
    /// Bytes live before the first step.
    pub inputs: u64,
    /// Bytes of inputs that nobody reads: they count at the first step alone.
    unread: u64,
    /// An order that can run: the file's where it can.
    pub topological: Vec<usize>,
}

/// The memory of running one step.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// While it runs.
    pub during: u64,
    /// What stays live after it.
    pub after: u64,
}

impl Net {
    pub fn new(dag: &Dag) -> Result<Self, PlanError> {
        let count = dag.steps.len();
        for (what, count) in [("steps", count), ("values", dag.values.len())] {
            if count > MAX_BLOCKS {
                return Err(PlanError::TooMany { what, count, limit: MAX_BLOCKS });
            }
        }
        let known = |index: u32| {
            if at(index) < count {
                Ok(at(index))
            } else {
                Err(PlanError::Missing { what: "step", index, count })
            }
        };
        let sizes = dag.values.iter().map(|value| value.bytes);
        sizes
            .chain(dag.steps.iter().map(|step| step.scratch))
            .try_fold(0u64, |sum, bytes| sum.checked_add(bytes).filter(|&sum| sum <= MAX_BYTES))
            .ok_or(PlanError::TooLarge { limit: MAX_BYTES })?;
        let mut steps: Vec<NetStep> = Vec::with_capacity(count);
        steps.resize_with(count, NetStep::default);
        let mut values = Vec::with_capacity(dag.values.len());
        let (mut inputs, mut unread) = (0, 0);
        for (index, value) in dag.values.iter().enumerate() {
            let writer = value.writer.map(known).transpose()?;
            let mut readers =
                value.readers.iter().map(|&r| known(r)).collect::<Result<Vec<_>, _>>()?;
            readers.sort_unstable();
            readers.dedup();
            let needed = value.kept || !readers.is_empty();
            match writer {
                Some(writer) => {
                    steps[writer].writes.push(index);
                    steps[writer].written += value.bytes;
                    steps[writer].handed_on += if needed { value.bytes } else { 0 };
                    steps[writer].after.extend(&readers);
                }
                None if needed => inputs += value.bytes,
                None => unread += value.bytes,
            }
            for &reader in &readers {
                steps[reader].reads.push(index);
                steps[reader].before.extend(writer);
            }
            values.push(NetValue { bytes: value.bytes, writer, readers, kept: value.kept });
        }
        for &(first, second) in &dag.before {
            let (first, second) = (known(first)?, known(second)?);
            steps[first].after.push(second);
            steps[second].before.push(first);
        }
        for (index, (step, given)) in steps.iter_mut().zip(&dag.steps).enumerate() {
            for edges in [&mut step.before, &mut step.after] {
                edges.sort_unstable();
                edges.dedup();
            }
            step.scratch = given.scratch;
            for &(input, output) in &given.in_place {
                for (value, touched) in [(input, &step.reads), (output, &step.writes)] {
                    if touched.binary_search(&at(value)).is_err() {
                        return Err(PlanError::Foreign { step: id(index), value });
                    }
                }
                let saved = values[at(input)].bytes.min(values[at(output)].bytes);
                step.saves.push((at(input), saved));
            }
            step.saves.sort_by_key(|&(value, saved)| (Reverse(saved), value));
        }
        let topological = topological(&steps)?;
        Ok(Self { steps, values, inputs, unread, topological })
    }

    /// What running `step` costs, with `live` bytes live before it; `done` tells of the other steps.
    pub fn cost(&self, step: usize, live: u64, first: bool, done: impl Fn(usize) -> bool) -> Cost {
        let this = &self.steps[step];
        let dies = |value: usize| {
            let value = &self.values[value];
            !value.kept && value.readers.iter().all(|&reader| reader == step || done(reader))
        };
        let freed: u64 = this
            .reads
            .iter()
            .filter(|&&value| dies(value))
            .map(|&value| self.values[value].bytes)
            .sum();
        let saved =
            this.saves.iter().find(|&&(value, _)| dies(value)).map_or(0, |&(_, saved)| saved);
        let unread = if first { self.unread } else { 0 };
        Cost {
            during: live + this.written + this.scratch + unread - saved,
            after: live + this.handed_on - freed,
        }
    }

    /// The least that `step` needs in any order, given what must be live with it beside its own.
    pub fn least(&self, step: usize, beside: u64) -> u64 {
        let this = &self.steps[step];
        let reads: u64 = this.reads.iter().map(|&value| self.values[value].bytes).sum();
        let saved = this.saves.iter().find(|(value, _)| !self.values[*value].kept);
        beside + reads + this.written + this.scratch - saved.map_or(0, |&(_, saved)| saved)
    }

    /// The position of each step in an order that can run.
    fn positions(&self, order: &[u32]) -> Result<Vec<u32>, PlanError> {
        let count = self.steps.len();
        let mut positions = vec![u32::MAX; count];
        for (position, &step) in order.iter().enumerate() {
            let fits = at(step) < count
                && positions[at(step)] == u32::MAX
                && self.steps[at(step)].before.iter().all(|&other| positions[other] != u32::MAX);
            if !fits {
                return Err(PlanError::Order { position });
            }
            positions[at(step)] = id(position);
        }
        if order.len() < count {
            return Err(PlanError::Order { position: order.len() });
        }
        Ok(positions)
    }
}

/// An order that can run, each step as early as its index allows.
fn topological(steps: &[NetStep]) -> Result<Vec<usize>, PlanError> {
    let mut missing: Vec<usize> = steps.iter().map(|step| step.before.len()).collect();
    let ready = (0..steps.len()).filter(|&step| missing[step] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(Reverse(step)) = ready.pop() {
        order.push(step);
        for &next in &steps[step].after {
            missing[next] -= 1;
            if missing[next] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    // A step left over waits for one left over: go back along those until one comes again.
    let Some(mut step) = missing.iter().position(|&missing| missing > 0) else { return Ok(order) };
    let mut seen = vec![false; steps.len()];
    while !std::mem::replace(&mut seen[step], true) {
        let waits_for = steps[step].before.iter().find(|&&other| missing[other] > 0);
        step = *waits_for.unwrap_or(&step);
    }
    Err(PlanError::Cycle { step: id(step) })
}
