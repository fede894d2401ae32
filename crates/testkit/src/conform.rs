//! Runs a model on its cases and compares with the goldens.

use kinglet::batch::{Batch, Numbers};
use kinglet::compare::{self, Difference, Floats};
use kinglet::engine::{self, EngineName};
use kinglet::model::{Model, read_file};
use kinglet_diag::Result;
use kinglet_formats::npz::{self, Array};
use std::path::{Path, PathBuf};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Equal to the bit, or within the f32 tolerance; values compared.
    Equal(usize),
    /// The first array that differs.
    Different(Difference),
}

/// The first difference, or all equal.
fn first(found: Vec<Difference>) -> Verdict {
    let values = found.iter().map(|difference| difference.values).sum();
    let different = found.into_iter().find(|difference| !difference.is_equal());
    different.map_or(Verdict::Equal(values), Verdict::Different)
}

/// The case file of a model file: `models/ops8/x.tflite` has `cases/ops8/x.npz`.
pub fn cases_of(assets: &Path, model: &Path) -> Option<PathBuf> {
    let relative = model.strip_prefix(assets.join("models")).ok()?;
    let cases = assets.join("cases").join(relative).with_extension("npz");
    cases.is_file().then_some(cases)
}

/// Runs a model on its cases and compares each output with its golden; the first difference, or all
/// equal. With `layers`, the intermediate tensors of the layer file, in the order of computation.
///
/// # Errors
/// What keeps the model from running.
pub fn conform(model: &Path, cases: &Path, engine: &EngineName) -> Result<Verdict> {
    let model = Model::open(model)?;
    let arrays = npz::read_npz(&read_file(cases)?)?;
    Ok(first(kinglet::verify::against_golden(&model, engine, &arrays)?.outputs))
}

/// Runs a model on the inputs of its layer file and compares every tensor there.
///
/// # Errors
/// What keeps the model from running.
pub fn conform_layers(model: &Path, layers: &Path, engine: &EngineName) -> Result<Verdict> {
    let model = Model::open(model)?;
    let mut arrays = npz::read_npz(&read_file(layers)?)?;
    // A stream is stored as [time, ...]: one case.
    for (name, array) in &mut arrays {
        let port = name.strip_prefix("in").and_then(|i| i.parse::<usize>().ok());
        let port = port.and_then(|i| model.graph.inputs.get(i));
        if let Some(port) = port {
            let rank = model.graph.tensor(port.tensor).shape().len();
            if array.shape().len() == rank + 1 {
                let mut shape = vec![1];
                shape.extend_from_slice(array.shape());
                *array = array.clone().reshape(shape)?;
            }
        }
    }
    let batch = Batch::from_arrays(&arrays, &model.graph, Numbers::Raw)?;
    let output = engine::run(&model, engine, &batch, true)?;
    let mut found = Vec::new();
    for node in &model.graph.nodes {
        for &id in &node.outputs {
            let tensor = model.graph.tensor(id);
            let Some(origin) = tensor.origin else { continue };
            let key = format!("t{origin}");
            let Some((_, golden)) = arrays.iter().find(|(name, _)| *name == key) else { continue };
            let Some(bytes) = output.tensors.get(&id) else { continue };
            // The golden is from the last call.
            let last = &bytes[bytes.len() - tensor.ty.bytes().min(bytes.len())..];
            let got = Array::new(golden.dtype(), golden.shape().to_vec(), last.to_vec())?;
            let name = format!("{key} \"{}\"", tensor.name);
            found.push(compare::arrays(&name, &got, &key, golden, Floats::Tolerance)?);
        }
    }
    Ok(first(found))
}

/// Every model file below a folder, sorted.
pub fn models(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "tflite" || e == "onnx") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
