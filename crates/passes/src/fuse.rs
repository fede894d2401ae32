//! Two nodes into one, where the second, or the first, can do both.

use kinglet_graph::{Node, NodeId, TensorId, TensorKind};
use kinglet_ops::{Graph, Op};

/// Whether the operator on these inputs has the types of these outputs.
pub(crate) fn same_types(graph: &Graph, node: &Node<dyn Op>) -> bool {
    let inputs: Vec<_> = node.inputs.iter().map(|t| t.map(|t| graph.tensor(t))).collect();
    let types = node.op.infer(&inputs);
    types.is_ok_and(|types| types.iter().eq(node.outputs.iter().map(|&t| &graph.tensor(t).ty)))
}

/// What is between two nodes, one after the other, and nobody else sees.
struct Link {
    writer: Vec<Option<NodeId>>,
    uses: Vec<usize>,
}

impl Link {
    fn new(graph: &Graph) -> Self {
        let mut uses: Vec<_> = graph.readers().iter().map(Vec::len).collect();
        for port in &graph.outputs {
            uses[port.tensor.index()] += 1;
        }
        Self { writer: graph.writers(), uses }
    }

    /// The node that writes a tensor which is used once and is all that the node writes.
    fn only_writer(&self, graph: &Graph, tensor: TensorId) -> Option<NodeId> {
        let writer = self.writer[tensor.index()]?;
        (self.uses[tensor.index()] == 1 && graph.node(writer).outputs.len() == 1).then_some(writer)
    }
}

fn remove(graph: &mut Graph, removed: &[bool]) {
    let mut removed = removed.iter();
    graph.nodes.retain(|_| !removed.next().copied().unwrap_or(false));
}

/// Gives a window operator the border that a node before it puts around its images. What the border
/// was put around is read later than before, so that it must not be state.
pub(crate) fn fuse_padding(graph: &mut Graph) {
    let link = Link::new(graph);
    let mut removed = vec![false; graph.nodes.len()];
    for id in graph.node_ids() {
        // A border around a border.
        while let Some((fused, border)) = with_border(graph, &link, graph.node(id)) {
            graph.nodes[id.index()] = fused;
            removed[border.index()] = true;
        }
    }
    remove(graph, &removed);
}

fn with_border(graph: &Graph, link: &Link, node: &Node<dyn Op>) -> Option<(Node<dyn Op>, NodeId)> {
    let padded = node.inputs.first().copied().flatten()?;
    let border_id = link.only_writer(graph, padded)?;
    let border_node = graph.node(border_id);
    let image = border_node.inputs.first().copied().flatten()?;
    if matches!(graph.tensor(image).kind, TensorKind::State(_))
        || !border_node.op.assigned_states().is_empty()
        || graph.tensor(image).quantization != graph.tensor(padded).quantization
    {
        return None;
    }
    let tensors: Vec<_> = border_node.inputs.iter().map(|t| t.map(|t| graph.tensor(t))).collect();
    let border = border_node.op.as_border(&tensors, graph.tensor(padded))?;
    let mut fused = node.clone();
    fused.inputs[0] = Some(image);
    let tensors: Vec<_> = fused.inputs.iter().map(|t| t.map(|t| graph.tensor(t))).collect();
    fused.op = node.op.with_border(&border, &tensors, graph.tensor(padded))?;
    same_types(graph, &fused).then_some((fused, border_id))
}

/// Gives an operator the activation that follows it. The tensor between goes, its reader's output is
/// written in its place.
pub(crate) fn fuse_activation(graph: &mut Graph) {
    let mut link = Link::new(graph);
    let mut removed = vec![false; graph.nodes.len()];
    for id in graph.node_ids() {
        if let Some((writer, fused)) = with_activation(graph, &link, graph.node(id)) {
            for output in &fused.outputs {
                link.writer[output.index()] = Some(writer);
            }
            graph.nodes[writer.index()] = fused;
            removed[id.index()] = true;
        }
    }
    remove(graph, &removed);
}

fn with_activation(
    graph: &Graph,
    link: &Link,
    node: &Node<dyn Op>,
) -> Option<(NodeId, Node<dyn Op>)> {
    let (&[Some(before)], &[after]) = (node.inputs.as_slice(), node.outputs.as_slice()) else {
        return None;
    };
    let writer = link.only_writer(graph, before)?;
    let (from, to) = (graph.tensor(before), graph.tensor(after));
    if from.ty != to.ty || from.quantization != to.quantization {
        return None;
    }
    let activation = node.op.as_activation(from, to)?;
    let mut fused = graph.node(writer).clone();
    fused.op = fused.op.with_activation(activation)?;
    fused.outputs = vec![after];
    same_types(graph, &fused).then_some((writer, fused))
}
