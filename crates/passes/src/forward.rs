//! Reading from where the bytes come from.

use crate::fuse::same_types;
use kinglet_graph::{Node, NodeId, TensorId, TensorKind};
use kinglet_ops::lower::Lower;
use kinglet_ops::{Graph, Op};
use kinglet_target::Target;

/// Skips nodes that only pass bytes on (a reshape to the same shape, an identity), and lets a copy of a
/// copy read the first one's input (a reshape of a reshape). State is never read from further away: a
/// read of it before an assignment must stay before it.
pub(crate) fn forward_copies(graph: &mut Graph) {
    // In order of the nodes, so that a chain is followed to its start in one walk.
    let mut source_of: Vec<Option<TensorId>> = vec![None; graph.tensors.len()];
    let writers = graph.writers();
    let mut removed = vec![false; graph.nodes.len()];
    for id in graph.node_ids() {
        let Some(position) = copied_input(graph, graph.node(id)) else { continue };
        let node = graph.node(id);
        let (Some(input), &[output]) = (node.inputs[position], node.outputs.as_slice()) else {
            continue;
        };
        if let Some(source) = source_of[input.index()] {
            shorten(graph, id, position, source);
        }
        let Some(input) = graph.node(id).inputs[position] else { continue };
        if graph.tensor(input).kind == TensorKind::Value {
            source_of[output.index()] = Some(input);
            if is_skipped(graph, output, input, writers[input.index()]) {
                replace(graph, output, input);
                removed[id.index()] = true;
            }
        }
    }
    let mut removed = removed.into_iter();
    graph.nodes.retain(|_| !removed.next().unwrap_or(false));
}

/// The position of the input whose bytes the node's one output is, and nothing else happens: its own
/// lowering says so. Asked only of nodes that do no arithmetic, since lowering packs weights.
fn copied_input(graph: &Graph, node: &Node<dyn Op>) -> Option<usize> {
    let inputs: Vec<_> = node.inputs.iter().map(|t| t.map(|t| graph.tensor(t))).collect();
    let outputs: Vec<_> = node.outputs.iter().map(|&t| graph.tensor(t)).collect();
    if outputs.len() != 1 || node.op.cost(&inputs, &outputs).macs > 0 {
        return None;
    }
    let target = Target::host();
    let mut lower = Lower::new(&target, inputs, outputs);
    node.op.lower(&mut lower).ok()?;
    let lowered = lower.finish();
    match lowered.aliases.as_slice() {
        &[(0, input)] if lowered.calls.is_empty() && lowered.assigns.is_empty() => Some(input),
        _ => None,
    }
}

/// Lets a copying node read a source further away, where it is still the same copy.
fn shorten(graph: &mut Graph, id: NodeId, position: usize, source: TensorId) {
    let node = graph.node(id);
    let mut shorter = node.clone();
    shorter.inputs[position] = Some(source);
    let is_same = same_types(graph, &shorter) && copied_input(graph, &shorter) == Some(position);
    if is_same {
        graph.nodes[id.index()] = shorter;
    }
}

/// Whether everyone who reads the output may read the input instead.
fn is_skipped(graph: &Graph, output: TensorId, input: TensorId, writer: Option<NodeId>) -> bool {
    let (to, from) = (graph.tensor(output), graph.tensor(input));
    let is_port = |id| graph.outputs.iter().any(|port| port.tensor == id);
    let same = to.ty == from.ty && to.quantization == from.quantization;
    // An output of the model keeps memory of its own, apart from inputs and other outputs.
    same && (!is_port(output) || (writer.is_some() && !is_port(input)))
}

fn replace(graph: &mut Graph, old: TensorId, new: TensorId) {
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.inputs) {
        if *input == Some(old) {
            *input = Some(new);
        }
    }
    for port in &mut graph.outputs {
        if port.tensor == old {
            port.tensor = new;
        }
    }
}
