//! Programs and their memory.

use kinglet_diag::code;
use kinglet_graph::{DType, Node, Port, Quantization, Tensor, TensorType};
use kinglet_ops::Graph;
use kinglet_program::{Options, lower};
use kinglet_target::Target;

/// A chain of int8 tanh over vectors of this length: out of place, then in place.
fn chain(len: usize) -> Graph {
    let mut graph = Graph::default();
    let mut tensors = Vec::new();
    for name in ["a", "b", "c"] {
        let mut tensor = Tensor::value(name, TensorType::new(DType::I8, [len]));
        let scale = if name == "a" { 0.05 } else { 1.0 / 128.0 };
        tensor.quantization = Some(Quantization::per_tensor(scale, 0));
        tensors.push(graph.add_tensor(tensor));
    }
    for pair in tensors.windows(2) {
        graph.nodes.push(Node {
            op: kinglet_ops::parse("tanh", Vec::new()).expect("an operator"),
            inputs: vec![Some(pair[0])],
            outputs: vec![pair[1]],
            name: "tanh".to_owned(),
            origin: None,
        });
    }
    let port = |name: &str, tensor| Port { name: name.to_owned(), tensor, labels: Vec::new() };
    graph.inputs = vec![port("a", tensors[0])];
    graph.outputs = vec![port("c", tensors[2])];
    graph
}

#[test]
fn mem_02_elementwise_operators_take_over_their_input() {
    let target = Target::host();
    let apart = Options { in_place: false, ..Options::default() };
    let two = lower(&chain(1000), &target, &apart).expect("it lowers");
    assert_eq!(two.arena_bytes, 2 * 1008 - 8, "two vectors, the second aligned to 16");
    let one = lower(&chain(1000), &target, &Options::default()).expect("it lowers");
    assert_eq!(one.arena_bytes, 1000);
    assert!(one.arena_optimal);
}

#[test]
fn sizes_beyond_any_memory_are_refused() {
    let failure = lower(&chain(1 << 61), &Target::host(), &Options::default())
        .expect_err("no memory is that large");
    assert_eq!(failure.first().code, code::NOT_PLANNED);
}
