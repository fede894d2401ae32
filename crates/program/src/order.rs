//! The order of nodes: the file's, or one that needs less memory.

use kinglet_graph::{NodeId, TensorKind};
use kinglet_ops::Graph;
use kinglet_plan::{Dag, Effort, Step, Value};

/// The graph with its nodes in the order of the lowest peak, or `None` when the file's order is as
/// good. The order respects what values demand and which reads of a state variable come before which
/// assignments.
pub(crate) fn reordered(graph: &Graph, effort: &Effort) -> Option<Graph> {
    let dag = dag(graph);
    let file: Vec<u32> = (0..dag.steps.len()).filter_map(|i| u32::try_from(i).ok()).collect();
    let found = kinglet_plan::order(&dag, effort).ok()?;
    if found.peak >= dag.peak(&file).ok()? {
        return None;
    }
    let mut reordered = graph.clone();
    let nodes = found.order.iter().filter_map(|&step| graph.nodes.get(step as usize).cloned());
    reordered.nodes = nodes.collect();
    (reordered.nodes.len() == graph.nodes.len()).then_some(reordered)
}

/// Nodes as steps, tensors as values.
fn dag(graph: &Graph) -> Dag {
    let step = |node: &NodeId| u32::try_from(node.index()).unwrap_or(u32::MAX);
    let (readers, writers) = (graph.readers(), graph.writers());
    let mut values = Vec::new();
    for id in graph.tensor_ids() {
        let tensor = graph.tensor(id);
        if tensor.kind != TensorKind::Value {
            continue;
        }
        let is_input = graph.inputs.iter().any(|port| port.tensor == id);
        let writer = writers[id.index()].as_ref().map(step);
        if !is_input && writer.is_none() {
            continue;
        }
        values.push(Value {
            bytes: tensor.ty.bytes() as u64,
            writer,
            readers: readers[id.index()].iter().map(step).collect(),
            kept: graph.outputs.iter().any(|port| port.tensor == id),
        });
    }
    // Nodes that touch one state variable stay in the file's order where one of them assigns it.
    let mut before = Vec::new();
    for state in graph.states() {
        let users = &readers[state.index()];
        let assigns = |node: &NodeId| {
            let node = graph.node(*node);
            let positions = node.op.assigned_states().iter();
            positions.filter_map(|&i| node.inputs.get(i)).any(|input| *input == Some(state))
        };
        for (index, first) in users.iter().enumerate() {
            for second in &users[index + 1..] {
                if first != second && (assigns(first) || assigns(second)) {
                    before.push((step(first), step(second)));
                }
            }
        }
        // Whoever uses a value that was read from the variable may see the variable itself: a read
        // and its users come before the next assignment, as in the file.
        for assign in users.iter().filter(|node| assigns(node)) {
            for read in users.iter().filter(|node| *node < assign) {
                for output in &graph.node(*read).outputs {
                    for user in readers[output.index()].iter().filter(|user| user < &assign) {
                        before.push((step(user), step(assign)));
                    }
                }
            }
        }
    }
    Dag { steps: vec![Step::default(); graph.nodes.len()], values, before }
}
