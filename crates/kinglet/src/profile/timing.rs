//! How long an inference takes on the core itself, predicted from the instructions that were executed.

use kinglet_boards::{Board, RegionKind};
use kinglet_device::timing::{Flash, PARTS, Pipeline, costs, pipeline};
use kinglet_device::{Elf, Emulation, InferenceCount};
use serde::Serialize;
use std::collections::BTreeMap;

/// A predicted time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Always `predicted`: nothing ran on the core itself.
    pub basis: &'static str,
    /// Cycles of the inference.
    pub cycles: u64,
    /// Milliseconds at the board's clock, where it is known.
    pub milliseconds: Option<f64>,
    /// The board's clock.
    pub clock_mhz: Option<f64>,
    /// Wait states of the flash at that clock, where they are known and counted.
    pub flash_wait_states: Option<u32>,
    /// Where the core's timings are from.
    pub source: &'static str,
}

/// What is known of a core and its memory before the time is.
pub(super) struct Timing {
    pub costs: BTreeMap<u64, u64>,
    pipeline: &'static Pipeline,
    clock_mhz: Option<f64>,
    wait_states: Option<u32>,
}

impl Timing {
    /// For the core of a board; `None` where it has no figures.
    pub fn of(
        board: &Board,
        emulation: &Emulation,
        elf: &Elf,
        count: &InferenceCount,
    ) -> Option<Self> {
        let pipeline = pipeline(&emulation.core.cpu)?;
        let flash = board.memory.iter().find(|region| region.kind == RegionKind::Flash);
        let known = flash.and_then(|flash| flash.wait_states.zip(flash.line_bytes));
        let flash = known.map(|(wait_states, line_bytes)| Flash {
            wait_states: wait_states.into(),
            line_bytes: line_bytes.into(),
        });
        Some(Self {
            costs: costs(pipeline, elf, count, flash),
            pipeline,
            clock_mhz: board.clock_mhz,
            wait_states: known.map(|(wait_states, _)| wait_states),
        })
    }

    /// The time of so many parts of a cycle.
    pub fn time(&self, parts: u64) -> Time {
        let cycles = cycles(parts);
        Time {
            basis: "predicted",
            cycles,
            milliseconds: self.clock_mhz.map(|mhz| cycles as f64 / (mhz * 1e3)),
            clock_mhz: self.clock_mhz,
            flash_wait_states: self.wait_states,
            source: self.pipeline.source,
        }
    }
}

/// Whole cycles.
pub(super) fn cycles(parts: u64) -> u64 {
    (parts + PARTS / 2) / PARTS
}
