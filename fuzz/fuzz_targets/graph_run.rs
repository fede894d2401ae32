//! Any text as a graph to be run: what is verified either runs by its operators' reference meaning and
//! by its program, with the same integers, or is refused with a reason.
#![no_main]

use kinglet_engine::{Interpreter, Machine};
use kinglet_graph::{TensorKind, verify::verify};
use kinglet_ops::Graph;
use kinglet_ops::text::parse_graph;
use kinglet_program::{Options, lower};
use kinglet_target::Target;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// Larger graphs take too long to find anything.
const MAX_BYTES: usize = 1 << 14;
const MAX_WORK: u64 = 1 << 18;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let text = text.split("\n---").next().unwrap_or(text);
    let Ok(graph) = parse_graph(text) else { return };
    if verify(&graph).is_err() || !is_small(&graph) {
        return;
    }
    let passed = kinglet_passes::standard(graph.clone()).expect("passes keep graphs whole");
    let mut outputs = Vec::new();
    for graph in [graph, passed] {
        let graph = Arc::new(graph);
        let mut interpreter = Interpreter::new(Arc::clone(&graph));
        fill(&graph, |index, bytes| interpreter.input_mut(index).copy_from_slice(bytes));
        if interpreter.run(None).is_ok() {
            let count = graph.outputs.len();
            outputs.push((0..count).map(|i| interpreter.output(i).to_vec()).collect::<Vec<_>>());
        }
        if let Ok(program) = lower(&graph, &Target::host(), &Options::default()) {
            let mut machine = Machine::new(Arc::new(program)).expect("a program is sound");
            fill(&graph, |index, bytes| machine.input_mut(index).copy_from_slice(bytes));
            machine.run(None).expect("a program runs");
            let count = graph.outputs.len();
            let got: Vec<_> = (0..count).map(|i| machine.output(i).to_vec()).collect();
            let Some(expected) = outputs.last() else { continue };
            for (port, (got, expected)) in graph.outputs.iter().zip(got.iter().zip(expected)) {
                // Floats may be summed in another order; how far is for other tests to say.
                if is_exact(&graph) {
                    assert_eq!(got, expected, "{} on the two engines", port.tensor);
                }
                assert_eq!(got.len(), expected.len());
            }
        }
    }
});

/// Whether no tensor is a float.
fn is_exact(graph: &Graph) -> bool {
    graph.tensors.iter().all(|tensor| !tensor.dtype().is_float())
}

fn is_small(graph: &Graph) -> bool {
    let bytes = graph.tensors.iter().map(|tensor| tensor.ty.bytes());
    let work = graph.nodes.iter().map(|node| {
        let inputs: Vec<_> = node.inputs.iter().map(|t| t.map(|t| graph.tensor(t))).collect();
        let outputs: Vec<_> = node.outputs.iter().map(|&t| graph.tensor(t)).collect();
        let cost = node.op.cost(&inputs, &outputs);
        cost.macs.saturating_add(cost.elements)
    });
    bytes.fold(0usize, usize::saturating_add) <= MAX_BYTES
        && work.fold(0u64, u64::saturating_add) <= MAX_WORK
}

/// Inputs that look like nothing in particular.
fn fill(graph: &Graph, mut set: impl FnMut(usize, &[u8])) {
    for (index, port) in graph.inputs.iter().enumerate() {
        let tensor = graph.tensor(port.tensor);
        assert_eq!(tensor.kind, TensorKind::Value);
        let byte = |at: usize| (at as u8).wrapping_mul(151).wrapping_add(index as u8);
        let bytes: Vec<_> = (0..tensor.ty.bytes()).map(byte).collect();
        set(index, &bytes);
    }
}
