//! `kinglet inspect MODEL`

use super::{Done, Show};
use crate::files;
use crate::inspect::inspect;
use crate::timeline;
use kinglet_diag::{Diagnostic, Failure, Result, code};
use kinglet_target::Target;
use serde_json::json;
use std::path::PathBuf;

/// Show what is in a model: types, scales, operators, work, weights, and memory over time
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A model with operators that are not supported is described as far as its file goes, with
everything that stands in the way; that is no error here.

Examples:
  kinglet inspect model.tflite
  kinglet inspect model.tflite --svg memory.svg
  kinglet inspect model.tflite --json | jq '.totals'
  kinglet inspect model.tflite --board nucleo-f446re --program
  kinglet inspect model.tflite --text > model.kgt")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Write memory over time as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Show the program instead: buffers, constants, kernel calls
    #[arg(long, conflicts_with = "text")]
    program: bool,
    /// Print the graph in its text form instead, whole, to be read back
    #[arg(long, conflicts_with = "json")]
    text: bool,
    /// The board that the program is for; a portable one without it
    #[arg(short, long)]
    board: Option<String>,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let target = match &args.board {
        Some(board) => kinglet_boards::open(board)?.target(),
        None => Target::host(),
    };
    let found = inspect(&args.model, &target)?;
    let unsupported = || Failure::new(found.facts.problems.clone());
    if let Some(path) = &args.svg {
        let Some(memory) = &found.facts.memory else { return Err(unsupported()) };
        files::write(path, timeline::svg(memory, &found.facts.model.name).as_bytes())?;
        show.note(&format!("memory over time written to {}", path.display()));
    }
    if args.text {
        let model = found.model.as_ref().ok_or_else(unsupported)?;
        show.text(&kinglet_graph::text::print(&model.graph));
    } else if args.program {
        show.text(&found.program.as_ref().ok_or_else(unsupported)?.to_string());
    } else {
        show.text(&found.facts.text());
    }
    let mut facts = serde_json::to_value(&found.facts)
        .map_err(|error| Diagnostic::error(code::INTERNAL, error.to_string()))?;
    if let (true, Some(program)) = (args.program, &found.program) {
        facts["program"] = json!(program.to_string());
    }
    show.object("kinglet.inspect/1", facts);
    Ok(Done::with(found.remarks))
}
