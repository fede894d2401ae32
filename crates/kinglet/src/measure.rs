//! What linked examples take, and the table of code sizes that `fit` predicts from.
//!
//! One example is the printed crate of a model with the `main` that a user gets for it, built for a core,
//! run once in the emulator. [`example`] gives its sizes to `fit --measure`; [`code_table`] builds many and
//! finds out what each kernel contributes.

mod table;

pub use table::{Sample, code_table, entry, predicted_and_linked, sample};

use crate::model::Model;
use crate::printed;
use kinglet_boards::Board;
use kinglet_codegen::{Options, Weights};
use kinglet_decide::{Basis, Needs, Optimize, check_bytes};
use kinglet_device::{
    Cache, Emulation, Example, OptLevel, Profile, Sizes, SourceTree, measure_example,
};
use kinglet_diag::{Diagnostic, Result};
use kinglet_program::Program;
use std::sync::Arc;
use std::time::Duration;

/// The longest that an example may run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How the emitted example is compiled.
pub fn profile(optimize: Optimize) -> Profile {
    let opt_level = match optimize {
        Optimize::Speed => OptLevel::Three,
        Optimize::Size => OptLevel::Size,
    };
    Profile { opt_level, lto: true }
}

/// What a program is known to need before anything is built.
pub fn device_needs(program: &Program) -> kinglet_device::Needs {
    kinglet_device::Needs {
        arena_bytes: (program.arena_bytes + program.state_bytes) as u64,
        weights_bytes: Weights::of(program).bytes.len() as u64,
    }
}

/// The printed crate with its example, as `compile` writes them, for an emulation's core and memory.
///
/// # Errors
/// A bug in the plan.
pub fn example_tree(
    mut printing: Options,
    program: &Arc<Program>,
    emulation: &Emulation,
    profile: Profile,
) -> Result<SourceTree> {
    printing.golden = Some(printed::golden(program)?);
    let files = kinglet_codegen::print(program, &printing);
    let mut tree: SourceTree = files.into_iter().map(|file| (file.path, file.bytes)).collect();
    let example = kinglet_device::example(Example {
        package: &kinglet_codegen::package(&printing),
        has_check: true,
        core: &emulation.core,
        memory: &emulation.machine.memory,
        machine: Some(&emulation.machine),
        profile,
    });
    tree.graft(printed::EXAMPLE_FOLDER, &example);
    Ok(tree)
}

/// A linked example and its run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The figures, from the linked program and the painted stack.
    pub needs: Needs,
    /// The program's file, in the build cache.
    pub elf: std::path::PathBuf,
    /// Warnings.
    pub notes: Vec<Diagnostic>,
}

/// Builds the example of a program for a board and runs it once on the emulated machine that stands for
/// it, with the board's own limits.
///
/// # Errors
/// What cannot be built or run; K0704 and K0713 when it is too large for the limits.
pub fn example(
    model: &Model,
    program: &Arc<Program>,
    board: &Board,
    optimize: Optimize,
) -> Result<Measured> {
    let emulation = Emulation::of(board, device_needs(program))?;
    on(model, program, &emulation, optimize)
}

/// As [`example`], with all the memory that the emulated machine has: for the figures of a program that is
/// too large for the board.
///
/// # Errors
/// As [`example`].
pub fn example_without_limits(
    model: &Model,
    program: &Arc<Program>,
    board: &Board,
    optimize: Optimize,
) -> Result<Measured> {
    on(model, program, &without_limits(program, board)?, optimize)
}

/// The emulation of a board's core with all the memory of the emulated machine.
fn without_limits(program: &Program, board: &Board) -> Result<Emulation> {
    let own = Emulation::of(board, device_needs(program))?;
    let host = kinglet_boards::find(&own.emulated)?;
    Ok(Emulation {
        core: own.core,
        board: own.board,
        ..Emulation::of(host, device_needs(program))?
    })
}

/// Code of a linked example and what the compiler keeps beside it: all read-only data but the weights and
/// the check vector.
fn code_bytes(sizes: &Sizes, program: &Program) -> u64 {
    (sizes.code + sizes.constants).saturating_sub(check_bytes(program))
}

fn on(
    model: &Model,
    program: &Arc<Program>,
    emulation: &Emulation,
    optimize: Optimize,
) -> Result<Measured> {
    let tree = example_tree(printed::options(model), program, emulation, profile(optimize))?;
    let found =
        measure_example(&Cache::open()?, &tree, printed::EXAMPLE_FOLDER, emulation, TIMEOUT)?;
    let sizes = &found.sizes;
    let state = program.state_bytes as u64;
    let mut needs = Needs {
        basis: Basis::Measured,
        arena: sizes.arena.saturating_sub(state),
        state,
        statics: sizes.statics,
        stack: found.stack_bytes.unwrap_or(0),
        vectors: sizes.vectors,
        code: code_bytes(sizes, program),
        check: check_bytes(program),
        weights: sizes.weights,
        data: sizes.data,
        padding: sizes.padding,
        ..Needs::default()
    };
    if emulation.emulated != emulation.board {
        needs.notes.push(format!("run on {}, which stands for the core", emulation.emulated));
    }
    if found.stack_bytes.is_none() {
        needs.notes.push(
            "the stack was not measured: the emulator loads no plug-ins (`kinglet doctor`)"
                .to_owned(),
        );
    }
    Ok(Measured { needs, elf: found.firmware.path, notes: found.notes })
}
