//! Whether a model computes the same on two sides, and the first tensor that is not the same.

use crate::batch::{Batch, BatchOutput, Numbers};
use crate::compare::{self, Difference, Floats};
use crate::engine::{self, EngineName};
use crate::model::Model;
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_formats::npz::Array;
use kinglet_graph::TensorKind;
use serde::Serialize;

/// Suffixes of goldens in one file by several runtimes, the best first: TensorFlow Lite Micro is the
/// truth where it runs the model.
const SUFFIXES: [&str; 5] = ["_tflm", "", "_litert_ref", "_litert_builtin", "_litert"];

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether all outputs are equal, or within the tolerance for floats.
    pub equal: bool,
    /// Runs compared.
    pub runs: usize,
    /// Each output's comparison.
    pub outputs: Vec<Difference>,
    /// The first tensor, in the order of computation, that is not equal, and the node that writes it.
    pub first_tensor: Option<(String, Difference)>,
}

/// The golden for an output among a file's arrays.
pub fn golden(arrays: &[(String, Array)], output: usize) -> Option<(&str, &Array)> {
    SUFFIXES.iter().find_map(|suffix| {
        let key = format!("out{output}{suffix}");
        arrays.iter().find(|(name, _)| *name == key).map(|(name, array)| (name.as_str(), array))
    })
}

/// Runs a model on the inputs of a golden file and compares the outputs.
///
/// # Errors
/// What keeps the model from running, and a golden that is missing or does not fit.
pub fn against_golden(
    model: &Model,
    engine: &EngineName,
    arrays: &[(String, Array)],
) -> Result<Verdict> {
    let batch = Batch::from_arrays(arrays, &model.graph, Numbers::Raw)?;
    let output = engine::run(model, engine, &batch, false)?;
    outputs_against_golden(model, &batch, &output, arrays)
}

/// Compares outputs with the goldens among a file's arrays.
///
/// # Errors
/// A golden that is missing or does not fit.
pub fn outputs_against_golden(
    model: &Model,
    batch: &Batch,
    output: &BatchOutput,
    arrays: &[(String, Array)],
) -> Result<Verdict> {
    let mut outputs = Vec::new();
    for (index, (name, got)) in
        batch.to_arrays(output, &model.graph, Numbers::Raw)?.iter().enumerate()
    {
        let Some((golden_name, expected)) = golden(arrays, index) else {
            return Err(Diagnostic::error(code::GOLDEN_SHAPE, format!("there is no array {name}"))
                .help("a golden file holds in0, in1, ... and the expected out0, out1, ...")
                .into());
        };
        if expected.dtype() != got.dtype() || expected.len() != got.len() {
            return Err(Diagnostic::error(
                code::GOLDEN_SHAPE,
                format!(
                    "{golden_name} is {} {:?}, the model gives {} {:?}",
                    expected.dtype(),
                    expected.shape(),
                    got.dtype(),
                    got.shape()
                ),
            )
            .help("the golden belongs to another model, or has other leading axes than the inputs")
            .into());
        }
        outputs.push(compare::arrays(name, got, golden_name, expected, Floats::Tolerance)?);
    }
    Ok(Verdict {
        equal: outputs.iter().all(Difference::is_equal),
        runs: batch.cases() * batch.steps(),
        outputs,
        first_tensor: None,
    })
}

/// Runs a model on two engines and compares; where outputs differ, finds the first tensor that does.
/// Floats are compared to the bit when both engines run the board's own program.
///
/// # Errors
/// What keeps the model from running on either.
pub fn engines(
    model: &Model,
    engine: &EngineName,
    other: &EngineName,
    batch: &Batch,
) -> Result<Verdict> {
    let floats = if same_program(engine, other) { Floats::Bits } else { Floats::Tolerance };
    let (a, b) =
        (engine::run(model, engine, batch, false)?, engine::run(model, other, batch, false)?);
    let label = other.to_string();
    let convert = |output| batch.to_arrays(output, &model.graph, Numbers::Raw);
    let mut outputs = Vec::new();
    for ((name, got), (_, expected)) in convert(&a)?.iter().zip(&convert(&b)?) {
        outputs.push(compare::arrays(name, got, &label, expected, floats)?);
    }
    let equal = outputs.iter().all(Difference::is_equal);
    let mut first_tensor = None;
    if !equal {
        let a = engine::run(model, engine, batch, true)?;
        let b = engine::run(model, other, batch, true)?;
        first_tensor = first_different(model, batch, &a, &b, &label, floats)?;
    }
    Ok(Verdict { equal, runs: batch.cases() * batch.steps(), outputs, first_tensor })
}

/// The first tensor in the order of computation that differs between two runs.
fn first_different(
    model: &Model,
    batch: &Batch,
    a: &BatchOutput,
    b: &BatchOutput,
    label: &str,
    floats: Floats,
) -> Result<Option<(String, Difference)>> {
    for id in model.graph.node_ids() {
        for &tensor in &model.graph.node(id).outputs {
            let info = model.graph.tensor(tensor);
            let (Some(x), Some(y)) = (a.tensors.get(&tensor), b.tensors.get(&tensor)) else {
                continue;
            };
            if info.kind != TensorKind::Value {
                continue;
            }
            let name = format!("tensor {} \"{}\"", tensor.index(), info.name);
            let array = |bytes: &[u8]| batch.tensor_array(info, bytes);
            let found = compare::arrays(&name, &array(x)?, label, &array(y)?, floats)?;
            if !found.is_equal() {
                return Ok(Some((model.graph.node_label(id), found)));
            }
        }
    }
    Ok(None)
}

/// Whether two engines run one program for one board: then even floats are equal to the bit.
fn same_program(a: &EngineName, b: &EngineName) -> bool {
    let board = |engine: &EngineName| match engine {
        EngineName::NativeBoard(board) | EngineName::Crate(board) | EngineName::Qemu(board) => {
            Some(board.clone())
        }
        EngineName::Reference | EngineName::Native => None,
    };
    board(a).is_some() && board(a) == board(b)
}
