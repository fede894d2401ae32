//! Computing what is known.

use kinglet_graph::{Data, Node, TensorKind};
use kinglet_ops::eval::Evaluation;
use kinglet_ops::{Graph, Op};

/// Outputs of at most this many bytes are always worth their flash.
const SMALL: usize = 1024;
/// Larger outputs may be this many times their inputs: f32 weights kept in int8 or f16 pay, a constant
/// repeated along a batch does not.
const GROWTH: usize = 4;

/// Computes nodes whose inputs are all constant, by their reference meaning. A node that refuses is
/// left for the engines to refuse; so is one that writes an output of the model, because an output
/// needs memory of its own.
pub(crate) fn fold_constants(graph: &mut Graph) {
    for id in graph.node_ids() {
        let Some(values) = fold(graph, graph.node(id)) else { continue };
        let outputs = graph.node(id).outputs.clone();
        for (output, value) in outputs.into_iter().zip(values) {
            graph.tensor_mut(output).kind = TensorKind::Constant(Data::new(value));
        }
    }
    // A node of constants has nothing left to write.
    let Graph { nodes, tensors, .. } = graph;
    nodes.retain(|node| {
        let mut outputs = node.outputs.iter();
        node.outputs.is_empty()
            || !outputs.all(|output| tensors[output.index()].constant().is_some())
    });
}

/// The node's outputs, if they are known and worth it.
fn fold(graph: &Graph, node: &Node<dyn Op>) -> Option<Vec<Vec<u8>>> {
    let is_output = |output| graph.outputs.iter().any(|port| port.tensor == output);
    let is_pure = node.op.assigned_states().is_empty() && !node.inputs.is_empty();
    if !is_pure || node.outputs.is_empty() || node.outputs.iter().any(|&id| is_output(id)) {
        return None;
    }
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        inputs.push(match *input {
            Some(id) => Some((graph.tensor(id), graph.constant(id)?.bytes())),
            None => None,
        });
    }
    let outputs: Vec<_> = node.outputs.iter().map(|&id| graph.tensor(id)).collect();
    let sizes: Vec<_> = outputs.iter().map(|tensor| tensor.ty.bytes()).collect();
    let from: usize = inputs.iter().flatten().map(|(_, bytes)| bytes.len()).sum();
    let to = sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size));
    if to > SMALL && to > from.saturating_mul(GROWTH) {
        return None;
    }
    let mut evaluation = Evaluation::new(inputs, outputs);
    node.op.evaluate(&mut evaluation).ok()?;
    let (values, states) = evaluation.finish();
    let is_whole = values.iter().map(Vec::len).eq(sizes);
    (is_whole && states.is_empty()).then_some(values)
}
