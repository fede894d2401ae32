//! Which models run on which cores by which engine, and running them there.

use crate::conform::{cases_of, models};
use kinglet::batch::{Batch, Numbers};
use kinglet::compare::Difference;
use kinglet::engine::{BoardRun, EngineName, on_board, run};
use kinglet::model::{Model, read_file};
use kinglet::verify::outputs_against_golden;
use kinglet_device::{Count, Elf, OptLevel, Profile};
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_formats::npz;
use kinglet_program::Options;
use kinglet_target::Target;
use std::path::{Path, PathBuf};

/// The emulated boards, one a core: M0+, M3, M4F, M7, M33, M55, RV32IMC.
pub const BOARDS: [&str; 7] = [
    "mps2-an385-v6m",
    "mps2-an385",
    "mps2-an386",
    "mps2-an500",
    "mps2-an505",
    "mps3-an547",
    "riscv32-virt",
];

/// The compiler's settings for which no panic is promised.
pub const PROFILES: [Profile; 6] = [
    Profile { opt_level: OptLevel::Size, lto: true },
    Profile { opt_level: OptLevel::Size, lto: false },
    Profile { opt_level: OptLevel::Two, lto: true },
    Profile { opt_level: OptLevel::Two, lto: false },
    Profile { opt_level: OptLevel::Three, lto: true },
    Profile { opt_level: OptLevel::Three, lto: false },
];

/// One model on one board by one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The model file.
    pub model: PathBuf,
    /// Its cases.
    pub cases: PathBuf,
    /// The board's id.
    pub board: &'static str,
    /// The engine, with the board in it.
    pub engine: EngineName,
}

impl Pair {
    /// How it is shown.
    pub fn label(&self) -> String {
        let name = self.model.file_stem().unwrap_or_default().to_string_lossy();
        let folder = self.model.parent().and_then(Path::file_name).unwrap_or_default();
        format!("{}/{name} on {}", folder.to_string_lossy(), self.engine)
    }
}

/// Every model of the conformance set that firmware can be made of, and the project's own, on every
/// board by every engine of a board. A model that is not supported yet, or has f32 arithmetic on a core
/// without FPU, is left out: f32 is compared on M4 and M55.
pub fn pairs(assets: Option<&Path>) -> Vec<Pair> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut found = Vec::new();
    for model in models(&own) {
        let is_f32 = model.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("_f32"));
        let cases = model.with_file_name(if is_f32 { "vectors_f32.npz" } else { "vectors.npz" });
        if cases.is_file() {
            found.push((model, cases));
        }
    }
    for model in assets.map(|assets| models(&assets.join("models"))).unwrap_or_default() {
        let cases = assets.and_then(|assets| cases_of(assets, &model));
        found.extend(cases.map(|cases| (model, cases)));
    }
    let mut pairs = Vec::new();
    for (model, cases) in found {
        let Ok(loaded) = Model::open(&model) else { continue };
        let Ok(program) = loaded.program(&Target::host(), &Options::default()) else { continue };
        // What fits a microcontroller: 1 MB of RAM and 4 MB of flash.
        let memory = program.arena_bytes + program.state_bytes;
        if memory > 1 << 20 || program.constant_bytes() > 4 << 20 {
            continue;
        }
        for board in BOARDS {
            let float = is_float(&loaded);
            if !float || matches!(board, "mps2-an386" | "mps3-an547") {
                let id = || board.to_owned();
                for engine in
                    [EngineName::NativeBoard(id()), EngineName::Crate(id()), EngineName::Qemu(id())]
                {
                    pairs.push(Pair { model: model.clone(), cases: cases.clone(), board, engine });
                }
            }
        }
    }
    pairs
}

/// Whether a model computes with f32 beyond converting at its ends.
pub fn is_float(model: &Model) -> bool {
    let graph = &model.graph;
    graph.nodes.iter().any(|node| {
        let float = |t: kinglet_graph::TensorId| graph.tensor(t).dtype().is_float();
        node.outputs.iter().any(|&t| float(t)) && node.inputs.iter().flatten().any(|&t| float(t))
    })
}

/// Runs a pair and compares with the golden; linked firmware must have no panic symbol and no
/// allocator. The profile is for firmware alone. Gives the number of values compared.
///
/// # Errors
/// What cannot be built or run, and a difference (`K0806`).
pub fn check(pair: &Pair, profile: Profile) -> Result<usize> {
    let model = Model::open(&pair.model)?;
    let arrays = npz::read_npz(&read_file(&pair.cases)?)?;
    let batch = Batch::from_arrays(&arrays, &model.graph, Numbers::Raw)?;
    let output = if let EngineName::Qemu(board) = &pair.engine {
        let how = BoardRun { count: Count::Nothing, profile, ..BoardRun::default() };
        on_board(&model, kinglet_boards::find(board)?, &batch, &how)?
    } else {
        run(&model, &pair.engine, &batch, false)?
    };
    if let Some(measured) = &output.measured {
        Elf::read(&measured.firmware)?.require_no_panic()?;
    }
    let verdict = outputs_against_golden(&model, &batch, &output, &arrays)?;
    match verdict.outputs.iter().find(|output| !output.is_equal()) {
        None => Ok(verdict.outputs.iter().map(|output| output.values).sum()),
        Some(found) => Err(not_equal(found).into()),
    }
}

/// The failure that a difference is.
fn not_equal(found: &Difference) -> Diagnostic {
    Diagnostic::error(
        code::NOT_EQUAL,
        format!(
            "{}: {} of {} values differ, by {}",
            found.name, found.different, found.values, found.largest
        ),
    )
    .help(
        "run `kinglet verify` on the model and this engine: it names the first tensor that differs",
    )
}

/// A part of the pairs, chosen by a number: every run of the tests sees another part.
pub fn rotating(pairs: Vec<Pair>, seed: u64, count: usize) -> Vec<Pair> {
    let mut keyed: Vec<(u64, Pair)> = pairs
        .into_iter()
        .map(|pair| {
            // FNV-1a over the label, mixed with the seed.
            let hash = pair.label().bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            (hash.rotate_left(29).wrapping_mul(0x9e37_79b9_7f4a_7c15), pair)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.truncate(count);
    let mut chosen: Vec<Pair> = keyed.into_iter().map(|(_, pair)| pair).collect();
    // Builds for one core follow each other: they share its libraries.
    chosen.sort_by(|a, b| (a.board, &a.model).cmp(&(b.board, &b.model)));
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet::compare::Floats;
    use kinglet_formats::npz::Array;

    #[test]
    fn a_difference_is_an_answer() {
        let golden = Array::from_elements(vec![2], &[1i8, 2]).expect("an array");
        let got = Array::from_elements(vec![2], &[1i8, 4]).expect("an array");
        let found = kinglet::compare::arrays("out0", &got, "golden", &golden, Floats::Bits);
        let failure = not_equal(&found.expect("they compare"));
        assert_eq!((failure.code, failure.code.class().exit_code()), (code::NOT_EQUAL, 1));
        assert!(failure.message.contains("1 of 2 values differ, by 2"));
    }

    #[test]
    fn the_rotating_part_depends_on_the_seed_alone() {
        let pair = |i: usize| Pair {
            model: PathBuf::from(format!("m{i}.tflite")),
            cases: PathBuf::new(),
            board: BOARDS[i % 7],
            engine: EngineName::Qemu(BOARDS[i % 7].to_owned()),
        };
        let all: Vec<Pair> = (0..100).map(pair).collect();
        let a = rotating(all.clone(), 1, 10);
        assert_eq!(a, rotating(all.clone(), 1, 10));
        assert_ne!(a, rotating(all, 2, 10));
        assert_eq!(a.len(), 10);
    }
}
