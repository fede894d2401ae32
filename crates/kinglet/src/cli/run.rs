//! `kinglet run MODEL --input X --output Y --engine E`

use super::{Done, Show};
use crate::batch::{Batch, Numbers};
use crate::engine::{self, EngineName};
use crate::files;
use crate::model::{Model, read_file};
use kinglet_diag::Result;
use kinglet_formats::npz;
use serde_json::json;
use std::path::PathBuf;

/// Run a model on cases from a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The input is an .npz with in0, in1, ... in the model's order (or the inputs' names as keys), or one
.npy for a model of one input. An array in the input's shape is one case; with one more axis in front
it is [cases, ...], state reset before each; with two it is [cases, time, ...], state kept along time.
The output has out0, out1, ... with the same leading axes.

Examples:
  kinglet run model.tflite --input cases.npz --output out.npz
  kinglet run model.tflite --input features.npy --output out.npz --real
  kinglet run model.tflite --input cases.npz --output out.npz --engine qemu:mps2-an386 --tensors")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Cases: .npz or .npy
    #[arg(short, long, value_name = "FILE")]
    input: PathBuf,
    /// Where the outputs go: .npz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// reference, native, native:BOARD, crate:BOARD or qemu:BOARD
    #[arg(short, long, default_value = "native")]
    engine: String,
    /// Quantize f32 inputs and dequantize outputs
    #[arg(long)]
    real: bool,
    /// Add every tensor that a node writes, as tK with K its index in the file
    #[arg(long)]
    tensors: bool,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let engine: EngineName = args.engine.parse()?;
    let model = Model::open(&args.model)?;
    let numbers = if args.real { Numbers::Real } else { Numbers::Raw };
    let shown = args.input.display().to_string();
    let batch = Batch::read(&read_file(&args.input)?, &model.graph, numbers)
        .map_err(|failure| failure.in_file(&shown))?;
    let output = engine::run(&model, &engine, &batch, args.tensors)?;
    let arrays = batch.to_arrays(&output, &model.graph, numbers)?;
    let named = arrays.iter().map(|(name, array)| (name.as_str(), array));
    files::write(&args.output, &npz::write_npz(named)?)?;
    let runs = batch.cases() * batch.steps();
    show.note(&format!(
        "{} run{} on {engine}, written to {}",
        runs,
        if runs == 1 { "" } else { "s" },
        args.output.display()
    ));
    show.object(
        "kinglet.run/1",
        json!({
            "engine": engine.to_string(),
            "cases": batch.cases(),
            "steps": batch.steps(),
            "output": args.output.display().to_string(),
            "arrays": arrays.iter().map(|(name, array)| json!({
                "name": name,
                "dtype": array.dtype().name(),
                "shape": array.shape(),
            })).collect::<Vec<_>>(),
            "measured": output.measured,
        }),
    );
    Ok(Done::with(model.remarks))
}
