//! Exact figures of a model on an emulated core: what budgets and the device bench compare.

use kinglet::batch::{Batch, BatchOutput};
use kinglet::engine::{BoardRun, EngineName, on_board, run};
use kinglet::model::Model;
use kinglet_device::{
    Build, Cache, Count, Elf, Emulation, ModelCrate, Needs, OptLevel, Profile, SourceTree, build,
};
use kinglet_diag::{Diagnostic, Result, bug, code};
use serde::{Deserialize, Serialize};

/// What is optimized for, in lowering and by the compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// `--optimize speed`: opt-level 3.
    Speed,
    /// `--optimize size`: opt-level "s".
    Size,
}

impl Setting {
    /// How it is asked for.
    pub fn run(self) -> BoardRun {
        let opt_level = match self {
            Setting::Speed => OptLevel::Three,
            Setting::Size => OptLevel::Size,
        };
        BoardRun {
            profile: Profile { opt_level, lto: true },
            count: Count::Instructions,
            ..BoardRun::default()
        }
    }
}

/// What one linked program takes; all sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Instructions of one inference.
    pub instructions: u64,
    /// Flash of the whole program but the weights; the harness around the model is part of it.
    pub flash_without_weights: u64,
    /// Weights as they are packed for the core.
    pub weights: u64,
    /// Arena with scratch, and state.
    pub arena_and_state: u64,
    /// The most stack in use, `main` included.
    pub stack: u64,
}

/// Inferences of a run: the last one is counted.
const INFERENCES: usize = 3;

/// Builds a model for a board, runs three inferences with made-up inputs, state kept, and takes the figures
/// of the last: its input is random over the full range of its type. The outputs must equal, to the bit,
/// those of the program on this machine.
///
/// # Errors
/// What cannot be built or run, counts that are not exact, and outputs that differ (`K0806`).
pub fn measure(model: &Model, board: &str, setting: Setting) -> Result<Figures> {
    let batch = Batch::made_up(&model.graph, INFERENCES, 1).in_sequence();
    let output = on_board(model, kinglet_boards::find(board)?, &batch, &setting.run())?;
    let expected = run(model, &EngineName::Native, &batch, false)?;
    require_equal(&output, &expected, model, board)?;
    let measured = output.measured.ok_or_else(|| bug("a board run that measured nothing"))?;
    let counted = measured.exact && measured.instructions.len() == INFERENCES;
    let Some(&instructions) = measured.instructions.last().filter(|_| counted) else {
        return Err(Diagnostic::error(
            code::EMULATOR_MISSING,
            "this emulator does not count instructions one by one",
        )
        .help("install QEMU with plug-ins; `kinglet doctor` checks it")
        .into());
    };
    Ok(Figures {
        instructions,
        flash_without_weights: measured.sizes.flash - measured.sizes.weights,
        weights: measured.sizes.weights,
        arena_and_state: measured.sizes.arena,
        stack: measured.stack_bytes,
    })
}

fn require_equal(
    output: &BatchOutput,
    expected: &BatchOutput,
    model: &Model,
    board: &str,
) -> Result<()> {
    if output.outputs == expected.outputs {
        return Ok(());
    }
    Err(Diagnostic::error(
        code::NOT_EQUAL,
        format!("{} on {board} computes other values than on this machine", model.path.display()),
    )
    .help(
        "run `kinglet verify` on the model and this engine: it names the first tensor that differs",
    )
    .into())
}

/// Flash of the harness linked with a model of nothing: the program around the model.
///
/// # Errors
/// What cannot be built.
pub fn program_around(board: &str, setting: Setting) -> Result<u64> {
    let emulation = Emulation::of(kinglet_boards::find(board)?, Needs::default())?;
    let mut tree = SourceTree::new();
    tree.insert("Cargo.toml", include_str!("../data/empty_model/Cargo.toml"));
    tree.insert("src/lib.rs", include_str!("../data/empty_model/src/lib.rs"));
    let memory = &emulation.machine.memory;
    let firmware = build(
        &Cache::open()?,
        Build {
            model: &ModelCrate::at_top(tree),
            core: &emulation.core,
            memory,
            timer: &emulation.machine.timer,
            profile: setting.run().profile,
            taps: false,
        },
    )?;
    Ok(Elf::read(&firmware.path)?.sizes(memory).flash)
}
