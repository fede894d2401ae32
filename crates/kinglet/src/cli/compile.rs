//! `kinglet compile MODEL --board B -o DIR`

use super::{Done, Show};
use crate::engine;
use crate::files;
use crate::model::Model;
use crate::printed;
use kinglet_codegen::{File, Kernels};
use kinglet_device::{Emulation, Needs, OptLevel, Profile};
use kinglet_diag::Result;
use kinglet_program::Options;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Compile a model to a reviewable no_std crate for a board
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The crate has no allocation, no unsafe code and no panic; its src/lib.rs begins with an example and the
map of its memory.

Examples:
  kinglet compile model.tflite --board nucleo-f446re -o model-crate
  kinglet compile model.tflite --board mps2-an386 -o model-crate --optimize size
  kinglet compile model.tflite --board nucleo-h743zi2 -o out --weights-section .qspi_flash")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// The board it is for: `kinglet boards` lists them
    #[arg(short, long)]
    board: String,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// What the example's profile optimizes for
    #[arg(long, default_value = "speed", value_parser = ["speed", "size"])]
    optimize: String,
    /// Where the kernels come from: vendor, path=PATH or version=VERSION
    #[arg(long, default_value = "vendor", value_name = "SOURCE", value_parser = kernels)]
    kernels: Kernels,
    /// The name of the crate; the model's file name without it
    #[arg(long)]
    name: Option<String>,
    /// Print a run that reports every tensor
    #[arg(long)]
    taps: bool,
    /// Linker section for the weights, which then are a crate of their own
    #[arg(long, value_name = "SECTION")]
    weights_section: Option<String>,
    /// Leave out check() and its stored vector
    #[arg(long)]
    no_check: bool,
}

fn kernels(text: &str) -> Result<Kernels, String> {
    match text.split_once('=') {
        None if text == "vendor" => Ok(Kernels::Vendor),
        Some(("path", path)) if !path.is_empty() => Ok(Kernels::Path(path.to_owned())),
        Some(("version", version)) if !version.is_empty() => {
            Ok(Kernels::Version(version.to_owned()))
        }
        _ => Err("expected vendor, path=PATH or version=VERSION".to_owned()),
    }
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let board = kinglet_boards::open(&args.board)?;
    let model = Model::open(&args.model)?;
    // With taps every tensor of the file exists, as `run --tensors` has it.
    let program = engine::program(&model, &board.target(), &Options::default(), args.taps)?;
    let program = Arc::new(program);
    let mut printing = printed::options(&model);
    if let Some(name) = &args.name {
        printing.crate_name.clone_from(name);
    }
    printing.kernels = args.kernels.clone();
    printing.taps = args.taps;
    printing.weights_section.clone_from(&args.weights_section);
    if !args.no_check {
        printing.golden = Some(printed::golden(&program)?);
    }
    let mut files = kinglet_codegen::print(&program, &printing);
    let weights = kinglet_codegen::Weights::of(&program).bytes.len();
    let level = if args.optimize == "size" { OptLevel::Size } else { OptLevel::Three };
    let needs = Needs {
        arena_bytes: (program.arena_bytes + program.state_bytes) as u64,
        weights_bytes: weights as u64,
    };
    // A board without an emulated machine gets the crate alone.
    let emulation = Emulation::of(board.as_ref(), needs).ok();
    if let Some(emulation) = &emulation {
        let profile = Profile { opt_level: level, lto: true };
        let example = printed::example(&board, emulation, &printing, profile);
        files.extend(example.iter().map(|(path, bytes)| File {
            path: format!("{}/{path}", printed::EXAMPLE_FOLDER),
            bytes: bytes.to_vec(),
        }));
    }
    files::write_folder(&args.output, &files)?;
    show.text(&format!(
        "{} for {}\n  arena   {:>9} bytes{}\n  state   {:>9} bytes\n  weights {:>9} bytes\n  steps   {:>9}\nwritten to {}{}\n",
        model.path.display(),
        board.name,
        program.arena_bytes,
        if program.arena_optimal { ", proved minimal for this order" } else { "" },
        program.state_bytes,
        weights,
        program.steps.len(),
        args.output.display(),
        if emulation.is_some() { format!(", with {}/ for the board", printed::EXAMPLE_FOLDER) } else { String::new() }
    ));
    show.object(
        "kinglet.compile/1",
        json!({
            "model": model.path.display().to_string(),
            "model_sha256": model.digest,
            "board": board.id,
            "output": args.output.display().to_string(),
            "arena_bytes": program.arena_bytes,
            "arena_lower_bound": program.arena_lower_bound,
            "arena_optimal": program.arena_optimal,
            "state_bytes": program.state_bytes,
            "weight_bytes": weights,
            "steps": program.steps.len(),
            "files": files.iter().map(|file| &file.path).collect::<Vec<_>>(),
        }),
    );
    Ok(Done::with(model.remarks))
}
