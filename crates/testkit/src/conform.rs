//! Runs a model on its cases and compares with the goldens.

use kinglet::batch::{Batch, BatchOutput, Numbers};
use kinglet::engine::{self, EngineName};
use kinglet::model::{Model, read_file};
use kinglet_diag::{Result, bug};
use kinglet_formats::npz::{self, Array, DType};
use std::path::{Path, PathBuf};

/// What a comparison found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Equal to the bit, or within the f32 tolerance; values compared.
    Equal(usize),
    /// Different: where, how many values, and the largest difference (in steps for integers).
    Different {
        /// The array that differs.
        array: String,
        /// The golden it was compared with.
        golden: String,
        /// Number of values that differ.
        count: usize,
        /// Number of values compared.
        of: usize,
        /// The largest difference.
        largest: f64,
    },
}

/// The golden of an output: TensorFlow Lite Micro's where it exists, else the reference's.
pub fn golden<'a>(arrays: &'a [(String, Array)], output: usize) -> Option<(&'a str, &'a Array)> {
    ["_tflm", "", "_litert_ref", "_litert_builtin", "_litert"].iter().find_map(|suffix| {
        let key = format!("out{output}{suffix}");
        arrays.iter().find(|(name, _)| *name == key).map(|(name, array)| (name.as_str(), array))
    })
}

/// Compares two arrays: integers to the bit, floats within `1e-5 + 1e-4 x the largest magnitude of the
/// golden` (NaN equals NaN, an infinity itself).
pub fn compare(name: &str, golden_name: &str, got: &Array, golden: &Array) -> Result<Verdict> {
    if got.dtype() != golden.dtype() || got.len() != golden.len() {
        return Err(bug(format!(
            "{name} is {} {:?}, {golden_name} is {} {:?}",
            got.dtype(),
            got.shape(),
            golden.dtype(),
            golden.shape()
        )));
    }
    let (a, b) = (as_f64(got), as_f64(golden));
    let is_float = matches!(got.dtype(), DType::F16 | DType::F32 | DType::F64);
    let magnitude = b.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
    let tolerance = if is_float { 1e-5 + 1e-4 * magnitude } else { 0.0 };
    let mut count = 0;
    let mut largest = 0f64;
    for (x, y) in a.iter().zip(&b) {
        let difference = if x == y || (x.is_nan() && y.is_nan()) { 0.0 } else { (x - y).abs() };
        // A NaN on one side only is a difference whatever the tolerance.
        if difference > tolerance || difference.is_nan() {
            count += 1;
            largest = if difference.is_nan() { f64::INFINITY } else { largest.max(difference) };
        }
    }
    if count == 0 {
        return Ok(Verdict::Equal(a.len()));
    }
    let (array, golden) = (name.to_owned(), golden_name.to_owned());
    Ok(Verdict::Different { array, golden, count, of: a.len(), largest })
}

fn as_f64(array: &Array) -> Vec<f64> {
    let size = array.dtype().bytes();
    let each = array.data().chunks_exact(size);
    let int = |b: &[u8]| {
        let mut wide = [0u8; 8];
        wide[..b.len()].copy_from_slice(b);
        u64::from_le_bytes(wide)
    };
    match array.dtype() {
        DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
            each.map(|b| int(b) as f64).collect()
        }
        DType::I8 => each.map(|b| f64::from(b[0] as i8)).collect(),
        DType::I16 => each.map(|b| f64::from(i16::from_le_bytes([b[0], b[1]]))).collect(),
        DType::I32 => each.map(|b| f64::from(int(b) as u32 as i32)).collect(),
        DType::I64 => each.map(|b| int(b) as i64 as f64).collect(),
        DType::F32 => each.map(|b| f64::from(f32::from_bits(int(b) as u32))).collect(),
        DType::F64 => each.map(|b| f64::from_bits(int(b))).collect(),
        // Compared by bits: no golden here is half precision.
        DType::F16 => each.map(|b| int(b) as f64).collect(),
    }
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
    let batch = Batch::from_arrays(&arrays, &model.graph, Numbers::Raw)?;
    let output = engine::run(&model, engine, &batch, false)?;
    compare_outputs(&model, &batch, &output, &arrays)
}

/// Compares outputs with the goldens among `arrays`.
///
/// # Errors
/// When there is no golden, or it does not fit.
pub fn compare_outputs(
    model: &Model,
    batch: &Batch,
    output: &BatchOutput,
    arrays: &[(String, Array)],
) -> Result<Verdict> {
    let got = batch.to_arrays(output, &model.graph, Numbers::Raw)?;
    let mut values = 0;
    for (index, (name, array)) in got.iter().enumerate() {
        let (golden_name, golden) =
            golden(arrays, index).ok_or_else(|| bug(format!("no golden for {name}")))?;
        match compare(name, golden_name, array, golden)? {
            Verdict::Equal(count) => values += count,
            different @ Verdict::Different { .. } => return Ok(different),
        }
    }
    Ok(Verdict::Equal(values))
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
    let mut values = 0;
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
            match compare(&format!("{key} \"{}\"", tensor.name), &key, &got, golden)? {
                Verdict::Equal(count) => values += count,
                different @ Verdict::Different { .. } => return Ok(different),
            }
        }
    }
    Ok(Verdict::Equal(values))
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
