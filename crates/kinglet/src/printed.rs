//! The printed crate of a model: what `compile` writes and what the engines `crate:` and `qemu:` build.

use crate::batch::{Batch, Random, element_bytes};
use crate::engine;
use crate::model::Model;
use kinglet_boards::{Board, RegionKind};
use kinglet_codegen::{Golden, Kernels, Options, identifier};
use kinglet_device::{Emulation, Example, MemoryMap, ModelCrate, Profile, SourceTree};
use kinglet_diag::Result;
use kinglet_engine::Machine;
use kinglet_program::Program;
use std::sync::Arc;

/// Options for printing a model with this tool's version and the model's digest filled in.
pub fn options(model: &Model) -> Options {
    let stem = model.path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy());
    Options {
        crate_name: identifier(&stem),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        model_digest: model.digest.clone(),
        kernels: Kernels::Vendor,
        taps: false,
        weights_section: None,
        golden: None,
    }
}

/// A run of the program on a fixed pseudo-random input over the full range of its type: what the
/// printed `check()` compares with.
///
/// # Errors
/// A bug in the plan.
pub fn golden(program: &Arc<Program>) -> Result<Golden> {
    let mut machine = Machine::new(Arc::clone(program))?;
    let mut random = Random::new(1);
    let mut inputs = Vec::new();
    for (index, port) in program.inputs.iter().enumerate() {
        let mut bytes = Vec::with_capacity(port.ty.bytes());
        for _ in 0..port.ty.len() {
            element_bytes(&mut bytes, port.ty.dtype, random.next());
        }
        for (to, from) in machine.input_mut(index).iter_mut().zip(&bytes) {
            *to = *from;
        }
        inputs.extend(bytes);
    }
    machine.run(None)?;
    let outputs = (0..program.outputs.len()).flat_map(|i| machine.output(i).to_vec()).collect();
    Ok(Golden { inputs, outputs })
}

/// The printed crate of a model for a board, in memory.
///
/// # Errors
/// Every node that cannot be lowered.
pub fn crate_for(model: &Model, board: &Board, taps: bool) -> Result<ModelCrate> {
    let options = kinglet_program::Options::default();
    let program = engine::program(model, &board.target(), &options, taps)?;
    Ok(source(model, &program, taps))
}

/// The printed crate of a program, in memory; without `check()`, whose vector would only take room.
pub fn source(model: &Model, program: &Program, taps: bool) -> ModelCrate {
    let mut tree = SourceTree::new();
    for file in kinglet_codegen::print(program, &Options { taps, ..options(model) }) {
        tree.insert(file.path, file.bytes);
    }
    ModelCrate::at_top(tree)
}

/// The folder of the example in a printed crate's folder.
pub const EXAMPLE_FOLDER: &str = "example";

/// The example for a printed crate: a program for the board that runs `check()`, or the model once. It is
/// laid out for the board's own memory where its addresses are known, else for the emulated machine
/// that stands for its core.
pub fn example(
    board: &Board,
    emulation: &Emulation,
    printing: &Options,
    profile: Profile,
) -> SourceTree {
    let own = own_memory(board);
    kinglet_device::example(Example {
        package: &kinglet_codegen::package(printing),
        has_check: printing.golden.is_some(),
        core: &emulation.core,
        memory: own.as_ref().unwrap_or(&emulation.machine.memory),
        machine: if own.is_none() { Some(&emulation.machine) } else { None },
        profile,
    })
}

/// A real board's memory at its own addresses; `None` for an emulated one, or where an address is not
/// known.
fn own_memory(board: &Board) -> Option<MemoryMap> {
    if board.is_emulated() {
        return None;
    }
    let region = |region: kinglet_boards::Region, reserved: u64| {
        let len = region.bytes.checked_sub(reserved)?;
        Some(kinglet_device::Region::new(region.name.clone(), region.origin?, len))
    };
    // What is reserved lies at a place that is not known, unless nothing is.
    let reserved = [RegionKind::Flash, RegionKind::Ram].map(|kind| board.reserved_bytes(kind));
    if reserved != [0, 0] {
        return None;
    }
    Some(MemoryMap::new(region(board.largest_flash()?, 0)?, region(board.largest_ram()?, 0)?))
}

/// The inputs of a batch as the harness reads them: for each case and step, all inputs in order.
pub fn harness_inputs(batch: &Batch, inputs: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for case in 0..batch.cases() {
        for step in 0..batch.steps() {
            for input in 0..inputs {
                bytes.extend_from_slice(batch.input(input, case, step));
            }
        }
    }
    bytes
}
