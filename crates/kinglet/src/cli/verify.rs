//! `kinglet verify MODEL [--against ENGINE|GOLDEN.npz] --engine E`

use super::{Done, Show};
use crate::batch::{Batch, Numbers};
use crate::engine::EngineName;
use crate::model::{Model, read_file};
use crate::verify::{self, Verdict};
use kinglet_diag::Result;
use kinglet_formats::npz;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check that a model computes the same on two sides; names the first tensor that is not the same
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Against a golden file, its inputs are run and its outputs out0, out1, ... compared. Against another
engine, the inputs come from --input, or are made up (seeded, the full range of each type). Integers must
be equal to the bit; f32 within 1e-5 + 1e-4 x the tensor's largest magnitude, and to the bit between
engines of one board. Exit status 1 when not equal.

Examples:
  kinglet verify model.tflite --engine qemu:mps2-an386
  kinglet verify model.tflite --against golden.npz --engine native
  kinglet verify model.tflite --against native --engine crate:nucleo-f446re --cases 20")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// An engine, or a golden .npz
    #[arg(long, default_value = "reference", value_name = "ENGINE|FILE")]
    against: String,
    /// The engine under test
    #[arg(short, long, default_value = "native")]
    engine: String,
    /// Inputs, when comparing two engines: .npz or .npy
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Number of made-up cases
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    cases: u32,
    /// Seed of made-up cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let engine: EngineName = args.engine.parse()?;
    let model = Model::open(&args.model)?;
    let verdict = match args.against.parse::<EngineName>() {
        Ok(other) => {
            let batch = match &args.input {
                Some(path) => {
                    let shown = path.display().to_string();
                    Batch::read(&read_file(path)?, &model.graph, Numbers::Raw)
                        .map_err(|failure| failure.in_file(&shown))?
                }
                None => Batch::made_up(&model.graph, args.cases as usize, args.seed),
            };
            verify::engines(&model, &engine, &other, &batch)?
        }
        // Not an engine: a file, unless it is no file either.
        Err(problem) => {
            let path = Path::new(&args.against);
            if !path.exists() && !args.against.ends_with(".npz") {
                return Err(problem.into());
            }
            let arrays = npz::read_npz(&read_file(path)?).map_err(|f| f.in_file(&args.against))?;
            verify::against_golden(&model, &engine, &arrays)
                .map_err(|failure| failure.in_file(&args.against))?
        }
    };
    show.text(&text(&verdict, &engine, &args.against));
    show.object(
        "kinglet.verify/1",
        json!({
            "model": model.path.display().to_string(),
            "engine": engine.to_string(),
            "against": args.against,
            "equal": verdict.equal,
            "runs": verdict.runs,
            "outputs": verdict.outputs,
            "first_tensor": verdict.first_tensor.as_ref().map(|(node, difference)| json!({
                "node": node,
                "difference": difference,
            })),
        }),
    );
    Ok(Done { no: !verdict.equal, remarks: model.remarks, ..Done::default() })
}

fn text(verdict: &Verdict, engine: &EngineName, against: &str) -> String {
    let mut text = String::new();
    let values: usize = verdict.outputs.iter().map(|output| output.values).sum();
    if verdict.equal {
        let within = verdict.outputs.iter().any(|output| output.tolerance > 0.0);
        let how = if within { "equal within the tolerance" } else { "equal to the bit" };
        text.push_str(&format!(
            "{how}: {values} values of {} runs, {engine} against {against}\n",
            verdict.runs
        ));
        return text;
    }
    text.push_str(&format!("NOT EQUAL: {engine} against {against}, {} runs\n", verdict.runs));
    for output in verdict.outputs.iter().filter(|output| !output.is_equal()) {
        text.push_str(&format!(
            "  {}: {} of {} values differ, by {} at most; first at {:?}: {:?}\n",
            output.name,
            output.different,
            output.values,
            output.largest,
            output.first_index.unwrap_or(0),
            output.first_values.unwrap_or((0.0, 0.0)),
        ));
    }
    if let Some((node, tensor)) = &verdict.first_tensor {
        text.push_str(&format!(
            "  first tensor that differs: {} of node {node}: {} of {} values, by {} at most\n",
            tensor.name, tensor.different, tensor.values, tensor.largest
        ));
    }
    text
}
