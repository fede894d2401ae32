//! State variables of a TensorFlow Lite file: the handles that name them, and the subgraphs that give
//! them their start values.
//!
//! A handle becomes no tensor and an initialization becomes no node: a graph has the state variables
//! themselves, with their start values.

use super::{Importer, refused};
use kinglet_diag::{Diagnostic, Failure, Place, code};
use kinglet_formats::tflite::Operator;
use kinglet_graph::{Data, Node, Tensor, TensorId, TensorKind, TensorType};
use kinglet_ops::eval::Evaluation;
use kinglet_ops::{Graph, Op, Refusal};
use std::collections::{BTreeMap, BTreeSet};

/// The names of the variables that a subgraph's handles stand for, by the file's tensor.
pub(super) type Handles = BTreeMap<usize, String>;

/// What is known of a file's state variables.
#[derive(Default)]
pub(super) struct Variables {
    /// The tensors of those a node has used.
    tensors: BTreeMap<String, TensorId>,
    /// The start values that initializations gave.
    starts: BTreeMap<String, (TensorType, Data)>,
    /// The subgraphs that ran as initializations.
    initialized: BTreeSet<usize>,
    /// Bytes of start values that were made up.
    bytes: usize,
    /// Whether this is an initialization itself.
    is_initialization: bool,
}

/// More state than any model has: where the numbers of a damaged file would fill the memory.
const MOST_BYTES: usize = 1 << 30;

/// Multiply-accumulates, elements and bytes that initializations may take: start values are constants,
/// or nearly so.
const MOST_WORK: u64 = 1 << 28;

impl<'a> Importer<'a> {
    /// Start values of a state variable that nothing sets: its zero point in every byte, zero where
    /// there is none, as TensorFlow Lite Micro does.
    pub(super) fn zeros(
        &mut self,
        ty: &TensorType,
        zero_point: i64,
        place: &Place,
    ) -> Option<TensorKind> {
        let bytes = ty.bytes();
        let total = self.variables.bytes.saturating_add(bytes);
        if total > MOST_BYTES {
            self.problems.push(
                Diagnostic::error(
                    code::STATE_VARIABLE,
                    format!("{total} bytes of state variables, at most {MOST_BYTES} are supported"),
                )
                .at(place.clone())
                .help("the file is damaged: convert the model again"),
            );
            return None;
        }
        self.variables.bytes = total;
        let [byte, ..] = zero_point.to_le_bytes();
        Some(TensorKind::State(Data::new(vec![byte; bytes])))
    }

    /// The state variable that the first input of an operator is a handle of. `beside` is a tensor of
    /// its type: the value that is read or assigned.
    pub(super) fn variable(
        &mut self,
        operator: &Operator<'_>,
        handles: &Handles,
        beside: Option<TensorId>,
        place: &Place,
    ) -> Option<TensorId> {
        let handle = operator.inputs.first().copied().flatten();
        let Some(name) = handle.and_then(|handle| handles.get(&handle)) else {
            self.problems.push(
                Diagnostic::error(
                    code::STATE_VARIABLE,
                    "the state variable has no handle that an earlier node makes",
                )
                .at(place.clone())
                .help("convert the model again; handles must come from VAR_HANDLE"),
            );
            return None;
        };
        if let Some(&variable) = self.variables.tensors.get(name) {
            return Some(variable);
        }
        let value = self.graph.tensor(beside?).clone();
        let start = self.variables.starts.get(name).cloned();
        let kind = match start {
            Some((ty, data)) if ty == value.ty => TensorKind::State(data),
            Some((ty, _)) => {
                self.problems.push(
                    Diagnostic::error(
                        code::STATE_VARIABLE,
                        format!(
                            "the state variable \"{name}\" is {}, but its start value is {ty}",
                            value.ty
                        ),
                    )
                    .at(place.clone())
                    .help("the file contradicts itself: convert the model again"),
                );
                return None;
            }
            None => {
                let zero_point = value.quantization.as_ref().and_then(|q| q.zero_points.first());
                self.zeros(&value.ty, zero_point.copied().unwrap_or(0), place)?
            }
        };
        let variable = self.graph.add_tensor(Tensor {
            name: name.clone(),
            kind,
            origin: None,
            free_axes: Vec::new(),
            ..value
        });
        self.variables.tensors.insert(name.clone(), variable);
        Some(variable)
    }

    /// Runs an initialization subgraph now: what it assigns are the start values.
    pub(super) fn initialize(&mut self, index: usize, place: &Place) -> Result<(), Failure> {
        let problem = |message: String| {
            Diagnostic::error(code::STATE_VARIABLE, message)
                .at(place.clone())
                .help("the file is damaged: convert the model again")
        };
        let subgraph = self.model.subgraphs.get(index).filter(|_| index > 0);
        let Some(subgraph) = subgraph else {
            self.problems.push(problem(format!("there is no subgraph {index} to run once")));
            return Ok(());
        };
        if self.variables.is_initialization {
            self.problems.push(problem("an initialization that calls another one".to_owned()));
            return Ok(());
        }
        // However many nodes call it, a subgraph runs once.
        if !self.variables.initialized.insert(index) {
            return Ok(());
        }
        let starts = std::mem::take(&mut self.variables.starts);
        let variables = Variables { starts, is_initialization: true, ..Variables::default() };
        let mut inner = Importer {
            model: self.model,
            block: self.block,
            graph: Graph::default(),
            variables,
            problems: Vec::new(),
            remarks: Vec::new(),
        };
        let tensors = inner.subgraph(subgraph, false);
        self.variables.starts = std::mem::take(&mut inner.variables.starts);
        tensors?;
        if inner.problems.is_empty()
            && let Err(failure) = kinglet_graph::verify::verify(&inner.graph)
        {
            inner.problems.extend_from_slice(failure.diagnostics());
        }
        if inner.problems.is_empty()
            && let Err(refusal) = run(&mut inner.graph)
        {
            inner.problems.push(refused("an initialization", refusal));
        }
        if !inner.problems.is_empty() {
            // Where in the main graph it is called from.
            self.problems.extend(inner.problems.into_iter().map(|p| p.at(place.clone())));
            return Ok(());
        }
        for (name, id) in inner.variables.tensors {
            if self.variables.tensors.contains_key(&name) {
                let message =
                    format!("the state variable \"{name}\" is used before its start value is set");
                self.problems.push(problem(message));
            }
            let tensor = inner.graph.tensor(id);
            if let TensorKind::State(start) = &tensor.kind {
                self.variables.starts.insert(name, (tensor.ty.clone(), start.clone()));
            }
        }
        Ok(())
    }
}

/// Runs the nodes of a verified graph without inputs and leaves its state variables with what they
/// assign.
fn run(graph: &mut Graph) -> Result<(), Refusal> {
    let mut values: BTreeMap<TensorId, Vec<u8>> = BTreeMap::new();
    let mut work = 0u64;
    for index in 0..graph.nodes.len() {
        let Some(node) = graph.nodes.get(index).cloned() else { continue };
        let (outputs, states) = run_node(graph, &node, &values, &mut work)?;
        values.extend(node.outputs.iter().copied().zip(outputs));
        for (position, value) in states {
            if let Some(state) = node.inputs.get(position).copied().flatten() {
                graph.tensor_mut(state).kind = TensorKind::State(Data::new(value));
            }
        }
    }
    Ok(())
}

/// New values of state variables by input position.
type States = Vec<(usize, Vec<u8>)>;

fn run_node(
    graph: &Graph,
    node: &Node<dyn Op>,
    values: &BTreeMap<TensorId, Vec<u8>>,
    work: &mut u64,
) -> Result<(Vec<Vec<u8>>, States), Refusal> {
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        inputs.push(match *input {
            None => None,
            Some(id) => {
                let tensor = graph.tensor(id);
                let bytes = match &tensor.kind {
                    TensorKind::Constant(data) | TensorKind::State(data) => Some(data.bytes()),
                    TensorKind::Value => values.get(&id).map(Vec::as_slice),
                };
                Some((tensor, bytes.ok_or("start values must not depend on inputs")?))
            }
        });
    }
    let outputs: Vec<_> = node.outputs.iter().map(|&t| graph.tensor(t)).collect();
    let tensors: Vec<_> = inputs.iter().map(|input| input.map(|(tensor, _)| tensor)).collect();
    let cost = node.op.cost(&tensors, &outputs);
    *work = work.saturating_add(cost.macs).saturating_add(cost.elements);
    for tensor in outputs.iter().chain(tensors.iter().flatten()) {
        *work = work.saturating_add(u64::try_from(tensor.ty.bytes()).unwrap_or(u64::MAX));
    }
    if *work > MOST_WORK {
        return Err(Refusal::new("start values that take too long to compute"));
    }
    let mut evaluation = Evaluation::new(inputs, outputs);
    node.op.evaluate(&mut evaluation)?;
    Ok(evaluation.finish())
}
