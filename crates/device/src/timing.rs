//! Cycles of executed instructions, predicted.
//!
//! The emulator counts instructions and knows no pipeline. What an instruction takes on the core itself is in the
//! core's manual, by kind; how often a branch was taken follows from the counts on both sides of it; and what the
//! flash adds is the wait states of each line that data is read from. Caches beyond that, contention on buses and
//! the second pipeline's dependencies are not modeled: a prediction, not a measurement.

mod thumb;

use crate::elf::Elf;
use crate::plugin::InferenceCount;
use std::collections::BTreeMap;
use thumb::Kind;

/// Parts of a cycle that costs are counted in.
pub const PARTS: u64 = 64;

/// What kinds of instructions take on a core, in [`PARTS`] of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Where the figures are from.
    pub source: &'static str,
    plain: u64,
    multiply: u64,
    divide: u64,
    load: u64,
    /// A load right behind another one.
    next_load: u64,
    store: u64,
    /// Loads and stores of several registers: once, and for each.
    several: (u64, u64),
    /// What a branch takes beyond a plain instruction when it is taken.
    refill: u64,
    call: u64,
    float: u64,
    float_divide: u64,
}

const fn cycles(count: u64) -> u64 {
    count * PARTS
}

const CORTEX_M0PLUS: Pipeline = Pipeline {
    source: "Arm DDI 0484C, Cortex-M0+ Technical Reference Manual, table 3-1; single-cycle multiplier",
    plain: cycles(1),
    multiply: cycles(1),
    divide: cycles(1),
    load: cycles(2),
    next_load: cycles(2),
    store: cycles(2),
    several: (cycles(1), cycles(1)),
    refill: cycles(1),
    call: cycles(2),
    float: 0,
    float_divide: 0,
};

const CORTEX_M4: Pipeline = Pipeline {
    source: "Arm DDI 0439B, Cortex-M4 Technical Reference Manual, tables 3-1 and 7-1; two cycles to refill, \
             seven to divide",
    plain: cycles(1),
    multiply: cycles(1),
    divide: cycles(7),
    load: cycles(2),
    next_load: cycles(1),
    store: cycles(1),
    several: (cycles(1), cycles(1)),
    refill: cycles(2),
    call: cycles(2),
    float: cycles(1),
    float_divide: cycles(14),
};

/// Arm publishes no timings of this core. Two instructions can start in a cycle, one of them a multiplication,
/// and loads come in pairs of 32 bits; predicted branches take one.
const CORTEX_M7: Pipeline = Pipeline {
    source: "estimated: two instructions a cycle but for multiplications and dependent ones, branches predicted",
    plain: 42,
    multiply: cycles(1),
    divide: cycles(7),
    load: 48,
    next_load: 40,
    store: 42,
    several: (32, 32),
    refill: 22,
    call: 64,
    float: cycles(1),
    float_divide: cycles(14),
};

/// The pipeline of a core by the compiler's name for it; `None` for those without figures.
pub fn pipeline(cpu: &str) -> Option<&'static Pipeline> {
    match cpu {
        "cortex-m0" | "cortex-m0plus" => Some(&CORTEX_M0PLUS),
        "cortex-m3" | "cortex-m4" => Some(&CORTEX_M4),
        "cortex-m7" => Some(&CORTEX_M7),
        _ => None,
    }
}

/// What flash adds to reads of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flash {
    /// Cycles that a line takes beyond the first.
    pub wait_states: u64,
    /// Bytes that are read at once.
    pub line_bytes: u64,
}

/// Average costs of instructions by address, in [`PARTS`] of a cycle.
///
/// Weights and tables are read front to back, so that each byte stands for its share of a line; code is taken to
/// be fetched ahead or cached.
pub fn costs(
    pipeline: &Pipeline,
    elf: &Elf,
    count: &InferenceCount,
    flash: Option<Flash>,
) -> BTreeMap<u64, u64> {
    let mut costs = BTreeMap::new();
    let mut before: Option<(u64, Kind)> = None;
    for (&address, &executed) in &count.by_address {
        let Some(halves) = elf.code_at(address) else { continue };
        let (kind, bytes) = thumb::kind(halves);
        let next = address + bytes;
        let behind = before.is_some_and(|(end, kind)| {
            end == address && matches!(kind, Kind::Load { .. } | Kind::Store { .. })
        });
        let passed = count.by_address.get(&next).copied().unwrap_or(0);
        let cost = match kind {
            Kind::Plain => pipeline.plain,
            Kind::Multiply => pipeline.multiply,
            Kind::Divide => pipeline.divide,
            Kind::Load { .. } if behind => pipeline.next_load,
            Kind::Load { .. } => pipeline.load,
            Kind::Store { .. } => pipeline.store,
            Kind::Several { registers, jumps } => {
                let (once, each) = pipeline.several;
                once + each * registers + if jumps { pipeline.refill } else { 0 }
            }
            Kind::Jump => pipeline.plain + pipeline.refill,
            Kind::Call => pipeline.plain + pipeline.call,
            // Whoever comes by another way to what follows is counted as having passed.
            Kind::Conditional => {
                let taken = executed.saturating_sub(passed);
                pipeline.plain + pipeline.refill * taken / executed.max(1)
            }
            Kind::Float => pipeline.float,
            Kind::FloatDivide => pipeline.float_divide,
        };
        let size = match kind {
            Kind::Load { bytes } => bytes,
            Kind::Several { registers, .. } => 4 * registers,
            _ => 0,
        };
        let reads = count.flash_reads.get(&address).copied().unwrap_or(0);
        let stalls = flash.map_or(0, |flash| {
            // Reads of several registers are counted one by one.
            let bytes = if matches!(kind, Kind::Several { .. }) { 4 } else { size };
            cycles(flash.wait_states) * bytes * reads / (flash.line_bytes.max(1) * executed.max(1))
        });
        costs.insert(address, cost + stalls);
        before = Some((next, kind));
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cores_with_figures() {
        assert!(pipeline("cortex-m0plus").is_some() && pipeline("cortex-m7").is_some());
        assert!(pipeline("cortex-m55").is_none() && pipeline("generic-rv32").is_none());
    }
}
