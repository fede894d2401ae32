//! The judgement: needs against a board's memory, by contiguous region.

use crate::float::{FloatWork, needs_soft_float};
use crate::needs::{Basis, Needs, Optimize, Settings, predict};
use crate::peak::{PeakStep, peak};
use crate::remedy::{Remedy, remedies};
use kinglet_boards::{Board, Class, Region, RegionKind};
use kinglet_diag::{Diagnostic, code};
use kinglet_program::Program;
use serde::Serialize;

/// The share of a region that should stay free.
const MARGIN: f64 = 0.1;
/// What a process on Linux is assumed to take beside the model: program, runtime and stack.
const PROCESS_BYTES: u64 = 16 << 20;

/// The answer for one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It fits.
    Fits,
    /// Some memory is too small.
    TooLarge,
    /// It might fit, and must not be done.
    Refused,
}

/// A part of a memory's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `arena`, `state`, `statics`, `stack`; `code`, `check`, `weights` and so on.
    pub name: &'static str,
    /// Bytes.
    pub bytes: u64,
}

/// Memory that is not the firmware's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reservation {
    /// Who takes it.
    pub what: String,
    /// Bytes.
    pub bytes: u64,
    /// Whether nobody published the figure.
    pub assumption: bool,
}

/// One memory: what is needed of it, and the region it is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The contiguous region, by the vendor's name; empty when the board has none.
    pub region: String,
    /// Bytes of the region.
    pub region_bytes: u64,
    /// What is taken from it before the firmware.
    pub reserved: Vec<Reservation>,
    /// Bytes that are left.
    pub available: u64,
    /// Bytes that are needed.
    pub needed: u64,
    /// What they are for.
    pub parts: Vec<Part>,
    /// How far `needed` may be off, either way; 0 when measured.
    pub error: u64,
    /// Bytes left over.
    pub free: u64,
    /// Bytes that are missing: 0 when it fits.
    pub missing: u64,
}

impl Memory {
    fn new(region: Option<&Region>, board: &Board, parts: Vec<Part>, error: u64) -> Self {
        let needed = parts.iter().fold(0, |sum: u64, part| sum.saturating_add(part.bytes));
        let reserved = region.map_or_else(Vec::new, |region| reservations(board, region));
        let taken = reserved.iter().fold(0, |sum: u64, one| sum.saturating_add(one.bytes));
        let region_bytes = region.map_or(0, |region| region.bytes);
        let available = region_bytes.saturating_sub(taken);
        Self {
            region: region.map_or_else(String::new, |region| region.name.clone()),
            region_bytes,
            reserved,
            available,
            needed,
            parts,
            error,
            free: available.saturating_sub(needed),
            missing: needed.saturating_sub(available),
        }
    }

    /// Whether everything fits.
    pub fn fits(&self) -> bool {
        self.missing == 0
    }

    /// Whether it fits with less than a tenth of the region to spare.
    pub fn is_tight(&self) -> bool {
        self.fits() && (self.free as f64) < MARGIN * self.region_bytes as f64
    }

    /// Whether the estimate's error is larger than the distance to the limit.
    pub fn is_uncertain(&self) -> bool {
        self.error > 0 && self.free.max(self.missing) < self.error
    }
}

/// What a report says of the board it is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoardSummary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What kind of machine it is.
    pub class: Class,
    /// The core's name.
    pub core: String,
    /// The core's clock in MHz, where known.
    pub clock_mhz: Option<f64>,
}

/// Whether a program fits a board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FitReport {
    /// The board.
    pub board: BoardSummary,
    /// The answer.
    pub verdict: Verdict,
    /// The answer in one sentence, with the missing bytes.
    pub answer: String,
    /// How the figures were obtained.
    pub basis: Basis,
    /// What the compiler optimizes for.
    pub optimize: Optimize,
    /// RAM.
    pub ram: Memory,
    /// Flash; not judged where a board has none, as under Linux.
    pub flash: Option<Memory>,
    /// Memory beside these two that something was placed in.
    pub elsewhere: Vec<Memory>,
    /// The step that needs the most of the arena.
    pub peak: Option<PeakStep>,
    /// Floating-point work on a core without a unit for it.
    pub soft_float: Option<FloatWork>,
    /// What would help, the smallest change first.
    pub remedies: Vec<Remedy>,
    /// What was assumed.
    pub notes: Vec<String>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

impl FitReport {
    /// Bytes that are missing in all memories together.
    pub fn missing(&self) -> u64 {
        let flash = self.flash.as_ref().map_or(0, |flash| flash.missing);
        let elsewhere = self.elsewhere.iter().map(|memory| memory.missing);
        elsewhere.fold(self.ram.missing.saturating_add(flash), u64::saturating_add)
    }
}

/// Whether a program fits a board, without building anything. `weights` is the length of its block of
/// constants in bytes.
pub fn fit(program: &Program, weights: u64, board: &Board, settings: &Settings) -> FitReport {
    judge(predict(program, weights, board.core, settings), program, board, settings)
}

/// Judges needs, predicted or measured, by a board's memory.
pub fn judge(needs: Needs, program: &Program, board: &Board, settings: &Settings) -> FitReport {
    let soft_float = needs_soft_float(program, &board.target());
    let mut report = FitReport {
        board: BoardSummary {
            id: board.id.clone(),
            name: board.name.clone(),
            class: board.class,
            core: board.core.name.clone(),
            clock_mhz: board.clock_mhz,
        },
        verdict: Verdict::Fits,
        answer: String::new(),
        basis: needs.basis,
        optimize: settings.optimize,
        ram: Memory::default(),
        flash: None,
        elsewhere: Vec::new(),
        peak: peak(program),
        soft_float,
        remedies: Vec::new(),
        notes: needs.notes.clone(),
        warnings: Vec::new(),
    };
    if board.class == Class::Microcontroller {
        judge_firmware(&mut report, &needs, board);
    } else {
        judge_process(&mut report, &needs, board);
    }
    decide(&mut report, board, settings);
    warn(&mut report, board, settings);
    report.remedies = remedies(&report, &needs, program, board, settings);
    report
}

fn ram_parts(needs: &Needs) -> Vec<Part> {
    vec![
        Part { name: "arena", bytes: needs.arena },
        Part { name: "state", bytes: needs.state },
        Part { name: "statics", bytes: needs.statics },
        Part { name: "stack", bytes: needs.stack },
    ]
}

fn flash_parts(needs: &Needs) -> Vec<Part> {
    vec![
        Part { name: "vectors", bytes: needs.vectors },
        Part { name: "code", bytes: needs.code },
        Part { name: "check", bytes: needs.check },
        Part { name: "weights", bytes: needs.weights },
        Part { name: "data", bytes: needs.data },
        Part { name: "padding", bytes: needs.padding },
    ]
}

fn judge_firmware(report: &mut FitReport, needs: &Needs, board: &Board) {
    // An emulated machine's linker script starts with its first regions.
    let main = |kind| match board.is_emulated() {
        true => board.regions(kind).into_iter().next(),
        false => roomiest(board, kind),
    };
    let ram = main(RegionKind::Ram).or_else(|| roomiest(board, RegionKind::Psram));
    let flash = main(RegionKind::Flash);
    let memory = |region: &Option<Region>, parts: Vec<Part>, error| {
        Memory::new(region.as_ref(), board, parts, error)
    };
    report.ram = memory(&ram, ram_parts(needs), needs.stack_error);
    let mut in_flash = memory(&flash, flash_parts(needs), needs.code_error);
    // An emulated machine's own linker script uses its other memory by itself; on a real board that takes
    // a decision of the user's, and is a remedy.
    if board.is_emulated() {
        if !report.ram.fits() {
            let others = [RegionKind::Ram, RegionKind::Psram];
            if let Some(region) =
                spare(board, &others, &report.ram.region, needs.arena + needs.state)
            {
                let (here, there): (Vec<Part>, Vec<Part>) = ram_parts(needs)
                    .into_iter()
                    .partition(|p| !["arena", "state"].contains(&p.name));
                report.ram = memory(&ram, here, needs.stack_error);
                report.elsewhere.push(Memory::new(Some(&region), board, there, 0));
            }
        }
        if !in_flash.fits() {
            let others = [RegionKind::ExternalFlash, RegionKind::Psram];
            if let Some(region) = spare(board, &others, &in_flash.region, needs.weights) {
                let (there, here): (Vec<Part>, Vec<Part>) =
                    flash_parts(needs).into_iter().partition(|part| part.name == "weights");
                in_flash = memory(&flash, here, needs.code_error);
                report.elsewhere.push(Memory::new(Some(&region), board, there, 0));
            }
        }
    }
    report.flash = Some(in_flash);
}

/// Under Linux the model is part of a process: weights are in RAM too, and there is virtual memory.
fn judge_process(report: &mut FitReport, needs: &Needs, board: &Board) {
    let ram = roomiest(board, RegionKind::Ram);
    let parts = vec![
        Part { name: "arena", bytes: needs.arena },
        Part { name: "state", bytes: needs.state },
        Part { name: "weights", bytes: needs.weights },
        Part { name: "process", bytes: PROCESS_BYTES },
    ];
    report.ram = Memory::new(ram.as_ref(), board, parts, 0);
    report.notes = vec![format!(
        "a process under Linux: weights are in RAM, and {} MiB are assumed for program, runtime and stack",
        PROCESS_BYTES >> 20
    )];
}

fn decide(report: &mut FitReport, board: &Board, settings: &Settings) {
    if report.ram.region.is_empty() {
        report.verdict = Verdict::Refused;
        report.answer = match board.class {
            Class::Accelerator => {
                "no memory of its own that is known: ask for the host it is plugged into".into()
            }
            _ => "the board's RAM is not known".to_owned(),
        };
        return;
    }
    let mut lacks = Vec::new();
    let memories = std::iter::once(&report.ram).chain(&report.flash).chain(&report.elsewhere);
    for memory in memories.filter(|memory| !memory.fits()) {
        lacks.push(match memory.region.as_str() {
            "" => format!("there is no flash; {} bytes are needed", memory.needed),
            region => format!("{region} lacks {} bytes", memory.missing),
        });
    }
    if !lacks.is_empty() {
        report.verdict = Verdict::TooLarge;
        report.answer = lacks.join(", ");
    } else if report.soft_float.is_some() && !settings.soft_float {
        report.verdict = Verdict::Refused;
        report.answer = format!(
            "an f32 model, and {} has no floating-point unit: 20 to 50 times slower",
            board.core.name
        );
    } else {
        report.answer = "fits".to_owned();
    }
}

fn warn(report: &mut FitReport, board: &Board, settings: &Settings) {
    let mut warnings = Vec::new();
    let id = &board.id;
    let memories = std::iter::once(&report.ram).chain(&report.flash).chain(&report.elsewhere);
    for memory in memories.filter(|memory| !memory.region.is_empty()) {
        let region = &memory.region;
        if memory.is_uncertain() {
            warnings.push(
                Diagnostic::warning(
                    code::FIT_UNCERTAIN,
                    format!(
                        "{id}: {region} is within the estimate's error of {} bytes either way",
                        memory.error
                    ),
                )
                .help("`kinglet fit --measure` builds the example and takes every figure from it"),
            );
        } else if memory.is_tight() {
            warnings.push(
                Diagnostic::warning(
                    code::FIT_TIGHT,
                    format!(
                        "{id}: {} of {} bytes stay free in {region}, less than a tenth",
                        memory.free, memory.region_bytes
                    ),
                )
                .help("the rest of the firmware, and the next version of the model, need room too"),
            );
        }
    }
    let used = std::iter::once(&report.ram).chain(&report.elsewhere);
    for region in used.filter_map(|memory| block(board, &memory.region)) {
        if !region.contiguous {
            warnings.push(
                Diagnostic::warning(
                    code::FIT_TOTAL_ONLY,
                    format!("{id}: only the total of {} was published; its largest block may be smaller", region.name),
                )
                .help("look the memory map up before you rely on it, and give it in a board file of your own"),
            );
        }
        if region.kind == RegionKind::Psram {
            warnings.push(
                Diagnostic::warning(
                    code::FIT_SLOW_MEMORY,
                    format!("{id}: {} is external memory, slower than the chip's own", region.name),
                )
                .help("measure on the board: first runs are slower than later ones, and a watchdog may fire"),
            );
        }
    }
    if let Some(work) = report.soft_float.as_ref().filter(|_| settings.soft_float) {
        warnings.push(
            Diagnostic::warning(
                code::SOFT_FLOAT,
                format!(
                    "{id}: {} steps compute floats without a floating-point unit, 20 to 50 times slower",
                    work.steps
                ),
            )
            .help("quantize the model to int8"),
        );
    }
    report.warnings = warnings;
}

/// The contiguous block with this name.
fn block(board: &Board, name: &str) -> Option<Region> {
    let kinds = [RegionKind::Ram, RegionKind::Psram, RegionKind::Flash, RegionKind::ExternalFlash];
    kinds.iter().flat_map(|&kind| board.regions(kind)).find(|region| region.name == name)
}

/// Who takes what of a block; a block may be made of several of the vendor's regions.
fn reservations(board: &Board, region: &Region) -> Vec<Reservation> {
    let inside = |name: &str| region.name.split('+').any(|part| part == name);
    let taken = board.reserved.iter().filter(|reserved| inside(&reserved.region));
    taken
        .map(|reserved| Reservation {
            what: reserved.what.clone(),
            bytes: reserved.bytes,
            assumption: reserved.assumption,
        })
        .collect()
}

/// Bytes of a block that are not reserved.
pub(crate) fn room(board: &Board, region: &Region) -> u64 {
    let taken =
        reservations(board, region).iter().fold(0, |sum: u64, r| sum.saturating_add(r.bytes));
    region.bytes.saturating_sub(taken)
}

/// The block of this kind with the most room; the first of equals.
fn roomiest(board: &Board, kind: RegionKind) -> Option<Region> {
    let blocks = board.regions(kind).into_iter();
    blocks.reduce(|best, other| if room(board, &other) > room(board, &best) { other } else { best })
}

/// The first block of these kinds, but this one, that has room for so much.
pub(crate) fn spare(board: &Board, kinds: &[RegionKind], but: &str, bytes: u64) -> Option<Region> {
    let blocks = kinds.iter().flat_map(|&kind| board.regions(kind));
    blocks.into_iter().find(|block| block.name != but && room(board, block) >= bytes)
}
