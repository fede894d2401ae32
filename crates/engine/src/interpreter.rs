//! Runs a graph, node by node, by its operators' reference meaning.

use crate::Tap;
use kinglet_diag::{Diagnostic, Failure, Place, code};
use kinglet_graph::{TensorId, TensorKind};
use kinglet_ops::Graph;
use kinglet_ops::eval::Evaluation;
use std::sync::Arc;

/// A graph with the values of its tensors.
#[derive(Debug)]
pub struct Interpreter {
    graph: Arc<Graph>,
    values: Vec<Vec<u8>>,
}

impl Interpreter {
    /// Prepares a verified graph; state has its start value.
    pub fn new(graph: Arc<Graph>) -> Self {
        let values = graph
            .tensors
            .iter()
            .map(|tensor| match &tensor.kind {
                TensorKind::Constant(data) => data.bytes().to_vec(),
                TensorKind::Value | TensorKind::State(_) => Vec::new(),
            })
            .collect();
        let mut interpreter = Self { graph, values };
        for port in &interpreter.graph.clone().inputs {
            let bytes = interpreter.graph.tensor(port.tensor).ty.bytes();
            interpreter.values[port.tensor.index()] = vec![0; bytes];
        }
        interpreter.reset();
        interpreter
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Gives every state variable its start value.
    pub fn reset(&mut self) {
        for (value, tensor) in self.values.iter_mut().zip(&self.graph.tensors) {
            if let TensorKind::State(start) = &tensor.kind {
                *value = start.bytes().to_vec();
            }
        }
    }

    /// The bytes of the input at this position; empty when there is none.
    pub fn input_mut(&mut self, index: usize) -> &mut [u8] {
        match self.graph.inputs.get(index) {
            Some(port) => &mut self.values[port.tensor.index()],
            None => &mut [],
        }
    }

    /// The bytes of the output at this position; empty when there is none.
    pub fn output(&self, index: usize) -> &[u8] {
        self.graph.outputs.get(index).map_or(&[], |port| self.value(port.tensor))
    }

    /// The bytes of a tensor.
    pub fn value(&self, tensor: TensorId) -> &[u8] {
        self.values.get(tensor.index()).map_or(&[], Vec::as_slice)
    }

    /// Runs once. `tap`, if given, sees every tensor that a node writes.
    ///
    /// # Errors
    /// `K0403` when an operator cannot compute what it is asked for.
    pub fn run(&mut self, mut tap: Option<Tap<'_>>) -> Result<(), Failure> {
        let graph = Arc::clone(&self.graph);
        for id in graph.node_ids() {
            let node = graph.node(id);
            let inputs = node
                .inputs
                .iter()
                .map(|input| input.map(|t| (graph.tensor(t), self.values[t.index()].as_slice())))
                .collect();
            let outputs = node.outputs.iter().map(|&t| graph.tensor(t)).collect();
            let mut evaluation = Evaluation::new(inputs, outputs);
            node.op.evaluate(&mut evaluation).map_err(|refusal| {
                let message = format!("{}: {}", node.op.name(), refusal.why);
                let mut diagnostic = Diagnostic::error(code::NOT_EVALUATED, message)
                    .at(Place::Node(graph.node_label(id)));
                diagnostic.help = refusal.help;
                diagnostic
            })?;
            let (outputs, states) = evaluation.finish();
            for (&tensor, value) in node.outputs.iter().zip(outputs) {
                if let Some(tap) = tap.as_mut() {
                    tap(tensor, &value);
                }
                self.values[tensor.index()] = value;
            }
            for (position, value) in states {
                if let Some(Some(tensor)) = node.inputs.get(position) {
                    self.values[tensor.index()] = value;
                }
            }
        }
        Ok(())
    }
}
