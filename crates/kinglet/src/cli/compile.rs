//! `kinglet compile MODEL --board B -o DIR`

use super::{Done, Show};
use crate::c_library;
use crate::engine;
use crate::files;
use crate::measure;
use crate::model::Model;
use crate::printed;
use kinglet_boards::Board;
use kinglet_codegen::{File, Kernels};
use kinglet_device::{Emulation, OptLevel, Profile};
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_program::{Options, Program};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Compile a model to a reviewable no_std crate, or to a C library, for a board
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The crate has no allocation, no unsafe code and no panic; its src/lib.rs begins with an example and the
map of its memory.

Examples:
  kinglet compile model.tflite --board nucleo-f446re -o model-crate
  kinglet compile model.tflite --board mps2-an386 -o model-crate --optimize size
  kinglet compile model.tflite --board nucleo-h743zi2 -o out --weights-section .qspi_flash
  kinglet compile model.tflite --board nucleo-f446re -o out --emit c-library")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// The board it is for: `kinglet boards` lists them
    #[arg(short, long)]
    board: String,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// What to write: a crate for programs in Rust, or a static library with its header for programs in C
    #[arg(long, default_value = "crate", value_name = "FORM", value_parser = ["crate", "c-library"])]
    emit: String,
    /// What the library, or the example's profile, optimizes for
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

/// What a C library cannot have: it is built here, by the kernels that the tool carries, and offers no
/// report of tensors.
fn require_plain(args: &Args) -> Result<()> {
    let flag = match args {
        Args { taps: true, .. } => "--taps",
        Args { kernels: Kernels::Path(_) | Kernels::Version(_), .. } => "--kernels",
        _ => return Ok(()),
    };
    Err(Diagnostic::error(code::USAGE, format!("{flag} is for --emit crate"))
        .help(format!("leave out {flag}, or take the crate"))
        .into())
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let as_c = args.emit == "c-library";
    if as_c {
        require_plain(args)?;
    }
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
    let level = if args.optimize == "size" { OptLevel::Size } else { OptLevel::Three };
    let profile = Profile { opt_level: level, lto: true };
    let written = match as_c {
        true => library(&board, &program, &printing, profile)?,
        false => printed_crate(&board, &program, &printing, profile),
    };
    files::write_folder(&args.output, &written.files)?;
    let weights = kinglet_codegen::Weights::of(&program).bytes.len();
    show.text(&format!(
        "{} for {}\n  arena   {:>9} bytes{}\n  state   {:>9} bytes\n  weights {:>9} bytes\n{}  steps   {:>9}\nwritten to {}{}\n",
        model.path.display(),
        board.name,
        program.arena_bytes,
        if program.arena_optimal { ", proved minimal for this order" } else { "" },
        program.state_bytes,
        weights,
        written.code.map(|code| format!("  code    {code:>9} bytes, every function linked\n")).unwrap_or_default(),
        program.steps.len(),
        args.output.display(),
        written.remark
    ));
    let object = json!({
        "model": model.path.display().to_string(),
        "model_sha256": model.digest,
        "board": board.id,
        "emit": args.emit,
        "output": args.output.display().to_string(),
        "arena_bytes": program.arena_bytes,
        "arena_lower_bound": program.arena_lower_bound,
        "arena_optimal": program.arena_optimal,
        "state_bytes": program.state_bytes,
        "weight_bytes": weights,
        "code_bytes": written.code,
        "steps": program.steps.len(),
        "files": written.files.iter().map(|file| &file.path).collect::<Vec<_>>(),
    });
    show.object("kinglet.compile/1", object);
    Ok(Done::with(model.remarks))
}

/// What is written, and what is said of it.
struct Written {
    files: Vec<File>,
    /// Bytes of code, where something was built.
    code: Option<u64>,
    /// What comes after the folder's name.
    remark: String,
}

fn printed_crate(
    board: &Board,
    program: &Program,
    printing: &kinglet_codegen::Options,
    profile: Profile,
) -> Written {
    let mut files = kinglet_codegen::print(program, printing);
    // A board without an emulated machine gets the crate alone.
    let emulation = Emulation::of(board, measure::device_needs(program)).ok();
    if let Some(emulation) = &emulation {
        let example = printed::example(board, emulation, printing, profile);
        files.extend(example.iter().map(|(path, bytes)| File {
            path: format!("{}/{path}", printed::EXAMPLE_FOLDER),
            bytes: bytes.to_vec(),
        }));
    }
    let remark = match emulation {
        Some(_) => format!(", with {}/ for the board", printed::EXAMPLE_FOLDER),
        None => String::new(),
    };
    Written { files, code: None, remark }
}

fn library(
    board: &Board,
    program: &Program,
    printing: &kinglet_codegen::Options,
    profile: Profile,
) -> Result<Written> {
    let core = kinglet_device::core(board).ok_or_else(|| {
        let why = format!("the board {} has a core that firmware is not built for", board.id);
        Diagnostic::error(code::BOARD_NOT_EMULATED, why)
            .help("`kinglet boards` lists the boards and their cores")
    })?;
    let built = c_library::build(program, printing, &core, profile)?;
    let remark = format!(
        "\ncompile C with {} and link -l{}; README.md shows how",
        built.c_flags.join(" "),
        built.prefix
    );
    Ok(Written { files: built.files, code: Some(built.code_bytes), remark })
}
