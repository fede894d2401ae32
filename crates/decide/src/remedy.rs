//! What would help, each with the bytes it saves.

use crate::fit::{FitReport, Verdict, spare};
use crate::needs::{Needs, Settings, check_bytes};
use crate::peak::largest_saving;
use kinglet_boards::{Board, Class, RegionKind};
use kinglet_graph::{DType, TensorType};
use kinglet_program::Program;
use serde::Serialize;

/// Which memories a remedy saves bytes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memories {
    /// Bytes of RAM.
    pub ram: u64,
    /// Bytes of flash.
    pub flash: u64,
}

/// What kind of change a remedy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyKind {
    /// Let the compiler optimize for size.
    OptimizeSize,
    /// No stored vector for `check()`.
    NoCheck,
    /// Weights in a flash of their own.
    WeightsElsewhere,
    /// Arena and stack in different regions.
    ArenaElsewhere,
    /// A smaller input.
    SmallerInput,
    /// int8 for f32.
    Quantize,
    /// Another operator, or fewer channels, at the peak.
    PeakOperator,
    /// Another board.
    Board,
}

/// Something that would help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What kind of change it is.
    pub kind: RemedyKind,
    /// What to do, in a sentence.
    pub what: String,
    /// What it saves.
    pub saves: Memories,
    /// Whether the saving is an estimate or an upper limit, and not computed exactly.
    pub estimate: bool,
    /// Whether it makes the program fit by itself.
    pub enough: bool,
}

/// Shorter sides than this are no image and no spectrogram.
const SMALLEST_SIDE: usize = 8;

/// What would help a program that does not fit, or was refused: what needs no other program. Whoever can
/// lower the model again adds what does.
pub(crate) fn remedies(
    report: &FitReport,
    needs: &Needs,
    program: &Program,
    board: &Board,
    settings: &Settings,
) -> Vec<Remedy> {
    if report.verdict == Verdict::Fits || report.ram.region.is_empty() {
        return Vec::new();
    }
    let ram_missing = report.ram.missing;
    let flash_missing = report.flash.as_ref().map_or(0, |flash| flash.missing);
    let enough = |saves: Memories| {
        report.verdict == Verdict::TooLarge
            && saves.ram >= ram_missing
            && saves.flash >= flash_missing
    };
    let mut list = Vec::new();
    let mut add = |kind, what: String, saves: Memories, estimate| {
        list.push(Remedy { kind, what, saves, estimate, enough: enough(saves) });
    };
    if flash_missing > 0 && settings.check {
        add(
            RemedyKind::NoCheck,
            "leave out check() and its stored vector (`--no-check`)".to_owned(),
            Memories { flash: check_bytes(program), ram: 0 },
            false,
        );
    }
    if flash_missing > 0
        && board.class == Class::Microcontroller
        && let Some(region) = spare(board, &[RegionKind::ExternalFlash], "", needs.weights)
    {
        add(
            RemedyKind::WeightsElsewhere,
            format!(
                "put the weights into {} (`--weights-section`), if the chip can read it like memory; slower",
                region.name
            ),
            Memories { flash: needs.weights, ram: 0 },
            false,
        );
    }
    let block = needs.arena.saturating_add(needs.state);
    if ram_missing > 0 && board.class == Class::Microcontroller {
        let kinds = [RegionKind::Ram, RegionKind::Psram];
        let rest = needs.statics.saturating_add(needs.stack);
        if block <= report.ram.available
            && let Some(region) = spare(board, &[RegionKind::Ram], &report.ram.region, rest)
        {
            add(
                RemedyKind::ArenaElsewhere,
                format!(
                    "keep the arena in {} alone, with stack and variables in {}",
                    report.ram.region, region.name
                ),
                Memories { ram: rest, flash: 0 },
                false,
            );
        } else if let Some(region) = spare(board, &kinds, &report.ram.region, block) {
            let slow =
                if region.kind == RegionKind::Psram { "; external memory, slower" } else { "" };
            add(
                RemedyKind::ArenaElsewhere,
                format!("put the arena into {}{slow}", region.name),
                Memories { ram: block, flash: 0 },
                false,
            );
        }
    }
    if let Some((what, saves)) = quantize(program, needs) {
        add(RemedyKind::Quantize, what, saves, true);
    }
    if ram_missing > 0 {
        if let Some((what, saves)) = smaller_input(program, needs, ram_missing) {
            add(RemedyKind::SmallerInput, what, saves, true);
        }
        if let Some(peak) = &report.peak {
            let saves = largest_saving(program, peak);
            let largest = peak.tensors.first();
            if let (Some(tensor), true) = (largest, saves > 0) {
                add(
                    RemedyKind::PeakOperator,
                    format!(
                        "make the largest tensor at the peak smaller, {} of node {}: a stride, or fewer channels",
                        if tensor.ty.is_empty() { &tensor.name } else { &tensor.ty },
                        // Converters join many names into one; index and operator say which node it is.
                        peak.label.split(" \"").next().unwrap_or_default()
                    ),
                    Memories { ram: saves, flash: 0 },
                    true,
                );
            }
        }
    }
    // What is enough comes first; among equals the order above, from the smallest change to the largest.
    list.sort_by_key(|remedy| !remedy.enough);
    list
}

/// int8 instead of f32: a quarter of everything that is f32.
fn quantize(program: &Program, needs: &Needs) -> Option<(String, Memories)> {
    let float = |ty: &TensorType| ty.dtype == DType::F32;
    let values = program.buffers.iter().filter(|buffer| {
        let first = buffer.tensors.first().and_then(|tensor| program.tensors.get(tensor.index()));
        first.is_some_and(|info| float(&info.ty))
    });
    let (float_bytes, all_bytes) = (
        values.map(|buffer| buffer.bytes as u64).sum::<u64>(),
        program.buffers.iter().map(|buffer| buffer.bytes as u64).sum::<u64>(),
    );
    // A float input or output of an integer model is no f32 model.
    if float_bytes.saturating_mul(2) < all_bytes || all_bytes == 0 {
        return None;
    }
    let constants = program
        .constants
        .iter()
        .filter(|constant| constant.element == kinglet_kernels::declare::Element::F32);
    let weights: u64 = constants.map(|constant| constant.data.bytes().len() as u64).sum();
    let saves = Memories { ram: needs.arena / 4 * 3, flash: weights / 4 * 3 };
    Some(("quantize the model to int8: a quarter of arena and weights".to_owned(), saves))
}

/// A smaller picture or spectrogram: activations go with its area.
fn smaller_input(program: &Program, needs: &Needs, missing: u64) -> Option<(String, Memories)> {
    let spatial = |ty: &TensorType| match *ty.shape.as_slice() {
        [1, height, width, _] if height.min(width) >= SMALLEST_SIDE => Some((height, width)),
        _ => None,
    };
    let inputs = program.inputs.iter().filter_map(|port| Some((port, spatial(&port.ty)?)));
    let (port, (height, width)) = inputs.max_by_key(|(port, _)| port.ty.bytes())?;
    let target = needs.arena.checked_sub(missing).filter(|&bytes| bytes > 0)?;
    let scale = (target as f64 / needs.arena as f64).sqrt();
    let side = |length: usize| (length as f64 * scale).floor() as usize;
    let (new_height, new_width) = (side(height), side(width));
    if new_height.min(new_width) < SMALLEST_SIDE {
        return None;
    }
    let area = (new_height * new_width) as f64 / (height * width) as f64;
    let saved = needs.arena - (needs.arena as f64 * area).ceil() as u64;
    let what = format!(
        "shrink the input `{}` from {height}x{width} to {new_height}x{new_width} and train again: memory goes with the area",
        port.name
    );
    Some((what, Memories { ram: saved, flash: 0 }))
}
