//! `kinglet report MODEL --board B... -o FILE.html`

use super::{Done, Progress, Show};
use crate::batch::{Batch, Numbers};
use crate::engine::EngineName;
use crate::files;
use crate::fit::Fitting;
use crate::model::{Model, read_file};
use crate::report::{Check, Report};
use kinglet_decide::{Optimize, Settings, Verdict};
use kinglet_diag::Result;
use serde_json::json;
use std::path::PathBuf;

/// Write a page about a model: what it is, where it fits, how it was verified, what comes out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
One HTML file that loads nothing and runs no script. Without --engine, `native` and each board's
own program on this machine are compared with `reference`; --engine qemu:BOARD takes the firmware
itself. Exit status 1 when an engine differs; a board that is too small is a result, not a failure.

Examples:
  kinglet report model.tflite --board nucleo-f446re -o report.html
  kinglet report model.tflite -b microbit -b nucleo-f446re -o report.html --engine qemu:mps2-an386
  kinglet report model.tflite -b nucleo-f446re -o report.html --input cases.npz --measure")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// A board by name, or a .toml file of your own; may be given several times
    #[arg(short, long = "board", value_name = "BOARD", required = true)]
    boards: Vec<String>,
    /// The page to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Engines to compare with `reference`; may be given several times
    #[arg(short, long = "engine", value_name = "ENGINE")]
    engines: Vec<String>,
    /// Inputs of the comparison: .npz or .npy; made up without it
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Number of made-up cases
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    cases: u32,
    /// Build the example for each board and take every figure from it
    #[arg(long)]
    measure: bool,
    /// What the compiler optimizes for
    #[arg(long, default_value = "speed", value_parser = ["speed", "size"])]
    optimize: String,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let mut boards = Vec::new();
    for name in &args.boards {
        boards.push(kinglet_boards::open(name)?);
    }
    let mut engines: Vec<EngineName> = Vec::new();
    for name in &args.engines {
        engines.push(name.parse()?);
    }
    if engines.is_empty() {
        engines.push(EngineName::Native);
        engines.extend(args.boards.iter().map(|board| EngineName::NativeBoard(board.clone())));
    }
    let model = Model::open(&args.model)?;
    let batch = match &args.input {
        Some(path) => {
            let shown = path.display().to_string();
            Batch::read(&read_file(path)?, &model.graph, Numbers::Raw)
                .map_err(|failure| failure.in_file(&shown))?
        }
        None => Batch::made_up(&model.graph, args.cases as usize, 1),
    };
    let optimize = if args.optimize == "size" { Optimize::Size } else { Optimize::Speed };
    let settings = Settings { optimize, soft_float: false, check: true };
    let mut remarks = model.remarks.clone();
    let mut fits = Vec::new();
    {
        let mut fitting = Fitting::new(&model, settings);
        for board in &boards {
            if args.measure {
                let _progress = Progress::start(
                    show,
                    format!("building and running the example for {}", board.id),
                );
                let (report, notes) = fitting.measure(board)?;
                remarks.extend(notes);
                fits.push(report);
            } else {
                fits.push(fitting.predict(board)?);
            }
        }
    }
    let check = |engine: &EngineName| {
        let _progress = Progress::start(show, format!("running on {engine}"));
        Check::of(&model, engine, &batch)
    };
    let checks: Vec<Check> = engines.iter().map(check).collect();
    // Clap asks for one at least.
    let first = boards.first().ok_or_else(|| kinglet_diag::bug("a report without a board"))?;
    let report = Report::new(&model, first, fits, checks)?;
    files::write(&args.output, report.html().as_bytes())?;
    show.note(&format!("written to {}", args.output.display()));
    show.object(
        "kinglet.report/1",
        json!({
            "model": model.path.display().to_string(),
            "model_sha256": model.digest,
            "output": args.output.display().to_string(),
            "boards": report.boards.iter().map(|board| json!({
                "board": board.board.id,
                "fits": board.verdict == Verdict::Fits,
            })).collect::<Vec<_>>(),
            "checks": report.checks.iter().map(|check| json!({
                "engine": check.engine,
                "against": check.against,
                "runs": check.runs,
                "equal": check.is_equal(),
                "error": check.outcome.as_ref().err(),
            })).collect::<Vec<_>>(),
        }),
    );
    let no = report.checks.iter().any(Check::is_different);
    Ok(Done { no, remarks, ..Done::default() })
}
