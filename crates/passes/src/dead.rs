//! Leaving out what nobody needs.

use kinglet_graph::{Node, TensorId};
use kinglet_ops::{Graph, Op};

/// Removes nodes whose outputs nobody needs, and then every tensor that nothing names. A node that
/// assigns state is needed when a needed node reads that state, in this run or in the next.
pub(crate) fn remove_dead(graph: &mut Graph) {
    let mut needed = vec![false; graph.tensors.len()];
    for port in &graph.outputs {
        needed[port.tensor.index()] = true;
    }
    // State goes round: what is read at the start of a run was assigned at the end of another.
    let mut is_live = vec![false; graph.nodes.len()];
    loop {
        let mut changed = false;
        for (node, is_live) in graph.nodes.iter().zip(&mut is_live).rev() {
            if !*is_live && is_needed(node, &needed) {
                *is_live = true;
                changed = true;
                for input in node.inputs.iter().flatten() {
                    needed[input.index()] = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    let mut live = is_live.into_iter();
    graph.nodes.retain(|_| live.next().unwrap_or(true));
    remove_unnamed_tensors(graph);
}

fn is_needed(node: &Node<dyn Op>, needed: &[bool]) -> bool {
    let assigned = node.op.assigned_states().iter();
    let states = assigned.filter_map(|&position| node.inputs.get(position).copied().flatten());
    states.chain(node.outputs.iter().copied()).any(|id| needed[id.index()])
}

fn remove_unnamed_tensors(graph: &mut Graph) {
    let mut is_named = vec![false; graph.tensors.len()];
    for port in graph.inputs.iter().chain(&graph.outputs) {
        is_named[port.tensor.index()] = true;
    }
    for node in &graph.nodes {
        for id in node.inputs.iter().flatten().chain(&node.outputs) {
            is_named[id.index()] = true;
        }
    }
    let mut count = 0;
    let new_ids: Vec<_> = is_named
        .iter()
        .map(|&is_named| {
            let id = TensorId::new(count);
            count += usize::from(is_named);
            id
        })
        .collect();
    let rename = |id: &mut TensorId| *id = new_ids[id.index()];
    for port in graph.inputs.iter_mut().chain(&mut graph.outputs) {
        rename(&mut port.tensor);
    }
    for node in &mut graph.nodes {
        node.inputs.iter_mut().flatten().for_each(rename);
        node.outputs.iter_mut().for_each(rename);
    }
    let mut named = is_named.into_iter();
    graph.tensors.retain(|_| named.next().unwrap_or(true));
}
