//! Exact counts on the emulated Cortex-M4 against `budgets.toml`: one percent worse fails.
//!
//! `budgets [--bless] [SUBSTRING ...]`. Instructions are of one steady-state inference at the speed
//! setting; flash is that of the harness without weights, at opt-level "s".

use kinglet::batch::{Batch, Measured};
use kinglet::engine::{BoardRun, on_board};
use kinglet::model::Model;
use kinglet_device::{Count, OptLevel, Profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const BOARD: &str = "mps2-an386";
const MODELS: [&str; 9] = [
    "kws_ref_model",
    "pretrainedResnet_quant",
    "vww_96_int8",
    "ad01_int8",
    "person_detect",
    "micro_speech_quantized",
    "mww_okay_nabu_v2",
    "str_ww_ref_model",
    "hello_world_int8",
];
/// How much worse a count may be.
const ALLOWED: f64 = 1.01;

/// Counts of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    instructions_speed: u64,
    instructions_size: u64,
    flash_without_weights_size: u64,
    flash_without_weights_speed: u64,
    weights: u64,
    arena_and_state: u64,
    stack: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("budgets: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let bless = args.iter().any(|arg| arg == "--bless");
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("budgets.toml");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let mut budgets: BTreeMap<String, Budget> =
        toml::from_str(&text).map_err(|error| format!("budgets.toml: {error}"))?;

    let mut models: Vec<PathBuf> = vec![root.join("models/machine_state/machine_state.tflite")];
    if let Some(assets) = kinglet_testkit::assets() {
        models.extend(MODELS.iter().map(|name| assets.join(format!("models/{name}.tflite"))));
    }
    let mut good = true;
    println!(
        "{:24} {:>12} {:>12} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "model", "insn O3", "insn s", "flash s", "flash O3", "weights", "RAM", "stack"
    );
    for path in models {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let found = measure(&path).map_err(|failure| format!("{name}: {failure}"))?;
        println!(
            "{name:24} {:>12} {:>12} {:>8} {:>8} {:>8} {:>8} {:>6}",
            found.instructions_speed,
            found.instructions_size,
            found.flash_without_weights_size,
            found.flash_without_weights_speed,
            found.weights,
            found.arena_and_state,
            found.stack
        );
        match budgets.get(&name) {
            _ if bless => {
                budgets.insert(name, found);
            }
            None => {
                println!("  {name} has no budget: run with --bless");
                good = false;
            }
            Some(budget) => {
                for (what, now, limit) in figures(&found, budget) {
                    if now as f64 > limit as f64 * ALLOWED {
                        println!("  {name}: {what} is {now}, the budget is {limit}");
                        good = false;
                    }
                }
            }
        }
    }
    if bless {
        let head = "# Exact counts on the emulated Cortex-M4 (mps2-an386). One percent worse fails.\n\
                    # Rewritten by: cargo xtask budgets --bless\n\n";
        let body = toml::to_string(&budgets).map_err(|error| error.to_string())?;
        std::fs::write(&file, format!("{head}{body}")).map_err(|error| error.to_string())?;
    }
    println!("{}", if good { "within the budgets" } else { "OVER BUDGET" });
    Ok(good)
}

fn figures(found: &Budget, budget: &Budget) -> [(&'static str, u64, u64); 7] {
    [
        ("instructions (speed)", found.instructions_speed, budget.instructions_speed),
        ("instructions (size)", found.instructions_size, budget.instructions_size),
        ("flash (size)", found.flash_without_weights_size, budget.flash_without_weights_size),
        ("flash (speed)", found.flash_without_weights_speed, budget.flash_without_weights_speed),
        ("weights", found.weights, budget.weights),
        ("arena and state", found.arena_and_state, budget.arena_and_state),
        ("stack", found.stack, budget.stack),
    ]
}

fn measure(path: &Path) -> Result<Budget, kinglet::Failure> {
    let model = Model::open(path)?;
    let board = kinglet_boards::find(BOARD)?;
    // The third made-up case is random; state is reset before each.
    let batch = Batch::made_up(&model.graph, 3, 1);
    let one = |opt_level| -> Result<Measured, kinglet::Failure> {
        let run = BoardRun {
            profile: Profile { opt_level, lto: true },
            count: Count::Instructions,
            ..BoardRun::default()
        };
        let output = on_board(&model, board, &batch, &run)?;
        output.measured.ok_or_else(|| kinglet_diag::bug("a board run that measured nothing"))
    };
    let (speed, size) = (one(OptLevel::Three)?, one(OptLevel::Size)?);
    let last = |measured: &Measured| measured.instructions.last().copied().unwrap_or(0);
    Ok(Budget {
        instructions_speed: last(&speed),
        instructions_size: last(&size),
        flash_without_weights_size: size.sizes.flash - size.sizes.weights,
        flash_without_weights_speed: speed.sizes.flash - speed.sizes.weights,
        weights: size.sizes.weights,
        arena_and_state: size.sizes.arena,
        stack: speed.stack_bytes.max(size.stack_bytes),
    })
}
