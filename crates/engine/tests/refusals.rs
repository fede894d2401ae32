//! What the interpreter cannot compute is said with the node.

use kinglet_diag::code;
use kinglet_engine::Interpreter;
use kinglet_graph::{Attribute, DType, Node, Port, Tensor, TensorType};
use kinglet_ops::Graph;
use std::sync::Arc;

#[test]
fn an_operator_without_a_meaning_for_its_types_is_refused_by_name() {
    let mut graph = Graph::default();
    let value =
        |name: &str, dtype, shape: &[usize]| Tensor::value(name, TensorType::new(dtype, shape));
    let x = graph.add_tensor(value("x", DType::Bool, &[1, 2]));
    let w = graph.add_tensor(value("w", DType::Bool, &[3, 2]));
    let y = graph.add_tensor(value("y", DType::Bool, &[1, 3]));
    let attributes = vec![
        ("activation".to_owned(), Attribute::Word("none".to_owned())),
        ("keep_dims".to_owned(), Attribute::Bool(false)),
    ];
    graph.nodes.push(Node {
        op: kinglet_ops::parse("fully_connected", attributes).expect("an operator"),
        inputs: vec![Some(x), Some(w)],
        outputs: vec![y],
        name: "dense".to_owned(),
        origin: None,
    });
    let port = |name: &str, tensor| Port { name: name.to_owned(), tensor, labels: Vec::new() };
    graph.inputs = vec![port("x", x), port("w", w)];
    graph.outputs = vec![port("y", y)];

    let failure = Interpreter::new(Arc::new(graph)).run(None).expect_err("bool has no products");
    assert_eq!(failure.first().code, code::NOT_EVALUATED);
    assert!(failure.first().place_text().contains("dense"));
}
