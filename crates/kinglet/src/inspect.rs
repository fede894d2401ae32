//! What is in a model: inputs and outputs, operators, work, weights, quantization, state and memory over
//! time. A model that cannot be run is described as far as its file goes, with everything that stands in
//! the way.

mod file;
mod text;

use crate::model::{Model, hex, read_file};
use crate::timeline::Timeline;
use kinglet_diag::{Diagnostic, Result};
use kinglet_graph::{DType, Quantization, Tensor, TensorId, TensorKind};
use kinglet_ops::Graph;
use kinglet_program::{Options, Program};
use kinglet_target::Target;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// A model, described.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub model: FileFacts,
    /// Whether Kinglet can run it: everything is supported.
    pub supported: bool,
    /// Its inputs in order.
    pub inputs: Vec<PortFacts>,
    /// Its outputs in order.
    pub outputs: Vec<PortFacts>,
    /// The kinds of operators, the most frequent first.
    pub operators: Vec<OperatorFacts>,
    /// The nodes in order.
    pub nodes: Vec<NodeFacts>,
    /// Sums over all nodes.
    pub totals: Totals,
    /// How its numbers are stored.
    pub quantization: QuantizationFacts,
    /// What outlives a run.
    pub states: Vec<StateFacts>,
    /// Axes of inputs and outputs that the file leaves free, with the value they take.
    pub free_axes: Vec<FreeAxis>,
    /// Memory over time; absent when no program can be made.
    pub memory: Option<Timeline>,
    /// What stands in the way of running it.
    pub problems: Vec<Diagnostic>,
}

/// The file of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// Its path.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
    /// The model's name.
    pub name: String,
    /// What the model says of itself.
    pub description: String,
}

/// An input or output.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PortFacts {
    /// Its name.
    pub name: String,
    /// Element type and shape, `i8[1,49,10,1]`.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Real value = scale * (integer - zero point), where there is one scale.
    pub scale: Option<f32>,
    /// The integer that stands for 0.
    pub zero_point: Option<i64>,
    /// Labels of the classes, where the model carries them.
    pub labels: Vec<String>,
}

/// One kind of operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OperatorFacts {
    /// Its name.
    pub name: String,
    /// How many nodes.
    pub count: usize,
    /// Whether Kinglet knows it.
    pub known: bool,
    /// Multiply-accumulates of all of them; absent where they are not known.
    pub macs: Option<u64>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeFacts {
    /// Its index in the file.
    pub index: usize,
    /// The operator's name.
    pub operator: String,
    /// Its own name, or its first output's.
    pub name: String,
    /// Types of its outputs.
    pub outputs: Vec<String>,
    /// Multiply-accumulates, dense: a filter tap on padding counts; absent where they are not known.
    pub macs: Option<u64>,
    /// Weights that it reads: elements.
    pub parameters: u64,
    /// The same in bytes.
    pub weight_bytes: u64,
}

/// Sums over a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Nodes.
    pub nodes: usize,
    /// Multiply-accumulates of one run; absent where some are not known.
    pub macs: Option<u64>,
    /// Elements of all weights; a weight that several nodes read counts once. Shapes, axes and other
    /// integers without a scale are no weights.
    pub parameters: u64,
    /// The same in bytes.
    pub weight_bytes: u64,
}

/// How a model's numbers are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QuantizationFacts {
    /// In a few words: `int8, weights per channel`.
    pub form: String,
    /// Nodes that compute integers from integers.
    pub integer_nodes: usize,
    /// Nodes that compute floats from floats and float weights.
    pub float_nodes: usize,
    /// Nodes that compute floats with integer weights.
    pub hybrid_nodes: usize,
    /// Nodes that convert between floats and integers.
    pub converting_nodes: usize,
    /// Weights with one scale for each channel.
    pub weights_per_channel: usize,
    /// Weights with one scale.
    pub weights_per_tensor: usize,
}

/// A state variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateFacts {
    /// Its name.
    pub name: String,
    /// Element type and shape.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// An axis that the file leaves free.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FreeAxis {
    /// The input or output.
    pub tensor: String,
    /// The axis, counted from 0.
    pub axis: usize,
    /// The value it takes, the file's own.
    pub value: usize,
}

/// A described model with what it was described from.
#[derive(Debug)]
pub struct Inspected {
    /// The description.
    pub facts: Inspection,
    /// The model, where it could be read as a graph.
    pub model: Option<Model>,
    /// Its program, where one could be made.
    pub program: Option<Program>,
    /// Warnings and notes.
    pub remarks: Vec<Diagnostic>,
}

/// Describes the model in a file; memory is that of a program for `target`.
///
/// # Errors
/// A file that cannot be read, or is no model.
pub fn inspect(path: &Path, target: &Target) -> Result<Inspected> {
    let model = match Model::open(path) {
        Ok(model) => model,
        Err(failure) => {
            // What the file itself says can be shown whatever the operators are.
            let bytes = read_file(path)?;
            let facts = FileFacts {
                path: path.display().to_string(),
                bytes: bytes.len() as u64,
                sha256: hex(&Sha256::digest(&bytes)),
                name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                description: String::new(),
            };
            let file = kinglet_formats::tflite::read(&bytes).map_err(|_| failure.clone())?;
            let remarks = file.warnings.iter().map(|w| w.clone().in_file(&facts.path)).collect();
            let facts = file::describe(&file, facts, failure.diagnostics().to_vec());
            return Ok(Inspected { facts, model: None, program: None, remarks });
        }
    };
    let (program, problems) = match model.program(target, &Options::default()) {
        Ok(program) => (Some(program), Vec::new()),
        Err(failure) => (None, failure.diagnostics().to_vec()),
    };
    let facts = of_model(&model, program.as_ref(), problems);
    let remarks = model.remarks.clone();
    Ok(Inspected { facts, model: Some(model), program, remarks })
}

/// Describes a model that was read.
pub fn of_model(model: &Model, program: Option<&Program>, problems: Vec<Diagnostic>) -> Inspection {
    let graph = &model.graph;
    let nodes: Vec<NodeFacts> = graph.node_ids().map(|id| node(graph, id)).collect();
    let weights: Vec<&Tensor> = graph.tensors.iter().filter(|tensor| is_weight(tensor)).collect();
    Inspection {
        model: FileFacts {
            path: model.path.display().to_string(),
            bytes: model.bytes as u64,
            sha256: model.digest.clone(),
            name: graph.name.clone(),
            description: graph.description.clone(),
        },
        supported: problems.is_empty(),
        inputs: graph.inputs.iter().map(|port| self::port(graph, port)).collect(),
        outputs: graph.outputs.iter().map(|port| self::port(graph, port)).collect(),
        operators: operators(nodes.iter().map(|node| (node.operator.as_str(), true, node.macs))),
        totals: Totals {
            nodes: nodes.len(),
            macs: nodes.iter().map(|node| node.macs).sum(),
            parameters: weights.iter().map(|tensor| tensor.ty.len() as u64).sum(),
            weight_bytes: weights.iter().map(|tensor| tensor.ty.bytes() as u64).sum(),
        },
        nodes,
        quantization: quantization(graph),
        states: graph
            .states()
            .map(|id| graph.tensor(id))
            .map(|tensor| StateFacts {
                name: tensor.name.clone(),
                ty: tensor.ty.to_string(),
                bytes: tensor.ty.bytes() as u64,
            })
            .collect(),
        free_axes: graph
            .inputs
            .iter()
            .chain(&graph.outputs)
            .flat_map(|port| {
                let tensor = graph.tensor(port.tensor);
                tensor.free_axes.iter().map(|&axis| FreeAxis {
                    tensor: port.name.clone(),
                    axis,
                    value: tensor.shape().get(axis).copied().unwrap_or(0),
                })
            })
            .collect(),
        memory: program.map(Timeline::of),
        problems,
    }
}

fn port(graph: &Graph, port: &kinglet_graph::Port) -> PortFacts {
    let tensor = graph.tensor(port.tensor);
    let single = tensor.quantization.as_ref().and_then(Quantization::single);
    PortFacts {
        name: port.name.clone(),
        ty: tensor.ty.to_string(),
        bytes: tensor.ty.bytes() as u64,
        scale: single.map(|(scale, _)| scale),
        zero_point: single.map(|(_, zero_point)| zero_point),
        labels: port.labels.clone(),
    }
}

fn node(graph: &Graph, id: kinglet_graph::NodeId) -> NodeFacts {
    let node = graph.node(id);
    let inputs: Vec<Option<&Tensor>> =
        node.inputs.iter().map(|input| input.map(|tensor| graph.tensor(tensor))).collect();
    let outputs: Vec<&Tensor> = node.outputs.iter().map(|&tensor| graph.tensor(tensor)).collect();
    let weights = inputs.iter().flatten().filter(|tensor| is_weight(tensor));
    NodeFacts {
        index: node.origin.map_or(id.index(), |origin| origin as usize),
        operator: node.op.name().to_owned(),
        name: node.name.clone(),
        outputs: outputs.iter().map(|tensor| tensor.ty.to_string()).collect(),
        macs: Some(node.op.cost(&inputs, &outputs).macs),
        parameters: weights.clone().map(|tensor| tensor.ty.len() as u64).sum(),
        weight_bytes: weights.map(|tensor| tensor.ty.bytes() as u64).sum(),
    }
}

/// Whether a constant is a weight, and not a shape, an axis or another integer without a scale.
fn is_weight(tensor: &Tensor) -> bool {
    tensor.constant().is_some() && (tensor.dtype().is_float() || tensor.quantization.is_some())
}

/// Counts operators by name; the most frequent first.
fn operators<'a>(nodes: impl Iterator<Item = (&'a str, bool, Option<u64>)>) -> Vec<OperatorFacts> {
    let mut found: BTreeMap<&str, OperatorFacts> = BTreeMap::new();
    for (name, known, macs) in nodes {
        let entry = found.entry(name).or_insert_with(|| OperatorFacts {
            name: name.to_owned(),
            known,
            macs: Some(0),
            ..OperatorFacts::default()
        });
        entry.count += 1;
        entry.macs = entry.macs.zip(macs).map(|(sum, macs)| sum + macs);
    }
    let mut list: Vec<OperatorFacts> = found.into_values().collect();
    list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    list
}

/// What kinds of numbers a node takes and gives.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds {
    float_in: bool,
    integer_in: bool,
    float_out: bool,
    integer_out: bool,
    integer_weights: bool,
}

impl QuantizationFacts {
    /// Counts one node.
    fn count(&mut self, kinds: Kinds) {
        match kinds {
            Kinds { float_in: true, float_out: true, integer_weights: true, .. } => {
                self.hybrid_nodes += 1
            }
            Kinds { float_out: true, integer_in: true, float_in: false, .. }
            | Kinds { integer_out: true, float_in: true, integer_in: false, .. } => {
                self.converting_nodes += 1
            }
            Kinds { float_in: true, float_out: true, .. } => self.float_nodes += 1,
            // Floats from constants: weights that are unpacked.
            Kinds { float_out: true, integer_in: false, .. } => self.converting_nodes += 1,
            _ => self.integer_nodes += 1,
        }
    }

    /// Counts one quantized weight.
    fn weight(&mut self, scales: usize) {
        if scales > 1 {
            self.weights_per_channel += 1;
        } else {
            self.weights_per_tensor += 1;
        }
    }

    /// Puts the counts into words; `integer` and `float` are the types that most values have.
    fn name(&mut self, integer: Option<&str>, float: Option<&str>, half_weights: bool) {
        let weights = match (self.weights_per_channel, self.weights_per_tensor) {
            (0, 0) => "",
            (_, 0) => ", weights per channel",
            (0, _) => ", weights per tensor",
            _ => ", weights per channel and per tensor",
        };
        let integer = integer.unwrap_or("integers");
        let float = float.unwrap_or("f32");
        self.form = match (self.integer_nodes, self.float_nodes, self.hybrid_nodes) {
            (0, _, hybrid) if hybrid > 0 => {
                format!("hybrid: {float} with integer weights{weights}")
            }
            (0, _, _) if half_weights => format!("{float} with f16 weights"),
            (0, _, _) => float.to_owned(),
            (_, 0, 0) if self.converting_nodes > 0 => {
                format!("{integer}{weights}, converted at its ends")
            }
            (_, 0, 0) => format!("{integer}{weights}"),
            (integers, floats, hybrid) => format!(
                "partly {integer}{weights}: {} of {} nodes compute with {float}",
                floats + hybrid,
                integers + floats + hybrid + self.converting_nodes
            ),
        };
    }
}

fn quantization(graph: &Graph) -> QuantizationFacts {
    let mut facts = QuantizationFacts::default();
    let is_value = |tensor: &&Tensor| !matches!(tensor.kind, TensorKind::Constant(_));
    for node in &graph.nodes {
        let tensor = |id: &TensorId| graph.tensor(*id);
        let inputs = || node.inputs.iter().flatten().map(tensor);
        let integers =
            |tensor: &Tensor| !tensor.dtype().is_float() && tensor.quantization.is_some();
        facts.count(Kinds {
            float_in: inputs().filter(is_value).any(|tensor| tensor.dtype().is_float()),
            integer_in: inputs().filter(is_value).any(|tensor| !tensor.dtype().is_float()),
            float_out: node.outputs.iter().map(tensor).any(|tensor| tensor.dtype().is_float()),
            integer_out: node.outputs.iter().map(tensor).any(|tensor| !tensor.dtype().is_float()),
            integer_weights: inputs().any(|t| t.constant().is_some() && integers(t)),
        });
    }
    for tensor in graph.tensors.iter().filter(|tensor| {
        // Biases have the scales of their weights.
        tensor.constant().is_some() && matches!(tensor.dtype(), DType::I4 | DType::I8 | DType::U8)
    }) {
        if let Some(quantization) = &tensor.quantization {
            facts.weight(quantization.scales.len());
        }
    }
    let values = || graph.tensors.iter().filter(is_value);
    let most = |float: bool| {
        let mut counts: BTreeMap<DType, usize> = BTreeMap::new();
        for tensor in values().filter(|tensor| tensor.dtype().is_float() == float) {
            *counts.entry(tensor.dtype()).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(_, count)| *count).map(|(dtype, _)| dtype.name())
    };
    let half = graph.tensors.iter().any(|t| t.constant().is_some() && t.dtype() == DType::F16);
    facts.name(most(false), most(true), half);
    facts
}
