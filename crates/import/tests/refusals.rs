//! What the importer refuses, each with its code, all at once.

mod file;

use file::{F32, Graph, I8, Node, Options, RESHAPE, Tensor, file};
use kinglet_diag::{Code, code};
use std::sync::Arc;

/// Operators and options as the schema numbers them.
const CONV_2D: i64 = 3;
const AVERAGE_POOL_2D: i64 = 1;
const CUMSUM: i64 = 128;
const POOL_2D_OPTIONS: i64 = 5;
const RESHAPE_OPTIONS: i64 = 17;
const STRING: i64 = 5;
const BFLOAT16: i64 = 18;

fn codes(graph: Graph, buffers: &[&[u8]], version: i64) -> Vec<Code> {
    let bytes = file(&[graph], buffers, version);
    let failure = kinglet_import::read(Arc::new(bytes), "test").expect_err("it must be refused");
    for diagnostic in failure.diagnostics() {
        assert!(!diagnostic.places.is_empty(), "{diagnostic} has no place");
    }
    failure.diagnostics().iter().map(|diagnostic| diagnostic.code).collect()
}

/// A graph of one node from `x` to `y`.
fn one(node: Node, element: i64, shape: &'static [i32], out: &'static [i32]) -> Graph {
    Graph {
        tensors: vec![
            Tensor("x", element, shape, Some(0), 0),
            Tensor("y", element, out, Some(0), 0),
        ],
        nodes: vec![node],
        inputs: &[0],
        outputs: &[1],
    }
}

#[test]
fn tflm_02_every_unknown_operator_is_named() {
    let mut graph = one(Node(CUMSUM, &[0], &[1], Options::None), F32, &[2], &[2]);
    graph.nodes.push(Node(CUMSUM, &[0], &[1], Options::None));
    graph.nodes.push(Node(CUMSUM, &[0], &[1], Options::None));
    assert_eq!(codes(graph, &[], 1)[..3], [code::OPERATOR_UNKNOWN; 3]);
}

#[test]
fn tflm_09_a_version_out_of_range_is_refused() {
    let graph = one(Node(RESHAPE, &[0], &[1], Options::None), I8, &[2], &[2]);
    assert!(codes(graph, &[], 99).contains(&code::OPERATOR_VERSION));
}

#[test]
fn an_operator_without_what_it_needs_is_refused() {
    // A stride of 0.
    let options = Options::Numbers(POOL_2D_OPTIONS, &[(1, 0, 4), (2, 0, 4), (3, 1, 4), (4, 1, 4)]);
    let graph = one(Node(AVERAGE_POOL_2D, &[0], &[1], options), I8, &[1, 2, 2, 1], &[1, 1, 1, 1]);
    assert!(codes(graph, &[], 1).contains(&code::OPERATOR_REFUSED));
}

#[test]
fn a_shape_that_contradicts_its_operator_is_refused() {
    // A 2 x 2 window over 2 x 2 gives one value, the file says two.
    let options =
        Options::Numbers(POOL_2D_OPTIONS, &[(0, 1, 1), (1, 1, 4), (2, 1, 4), (3, 2, 4), (4, 2, 4)]);
    let graph = one(Node(AVERAGE_POOL_2D, &[0], &[1], options), I8, &[1, 2, 2, 1], &[1, 1, 2, 1]);
    assert!(codes(graph, &[], 1).contains(&code::SHAPE));
}

#[test]
fn a_tensor_that_is_read_before_it_is_written_is_refused() {
    let mut graph = one(Node(RESHAPE, &[1], &[1], Options::None), I8, &[2], &[2]);
    graph.inputs = &[0];
    assert!(!codes(graph, &[], 1).is_empty());
}

#[test]
fn a_dimension_without_a_value_is_refused() {
    let graph = one(Node(RESHAPE, &[0], &[1], Options::None), I8, &[-1, 2], &[2]);
    assert!(codes(graph, &[], 1).contains(&code::FREE_DIMENSION));
}

#[test]
fn an_element_type_without_a_place_in_a_graph_is_refused() {
    let graph = one(Node(RESHAPE, &[0], &[1], Options::None), BFLOAT16, &[2], &[2]);
    assert!(codes(graph, &[], 1).contains(&code::TENSOR_TYPE));
}

#[test]
fn an_attribute_that_nobody_reads_is_refused() {
    // The schema knows one field of this table; the file has another.
    let options = Options::Numbers(RESHAPE_OPTIONS, &[(3, 7, 4)]);
    let graph = one(Node(RESHAPE, &[0], &[1], options), I8, &[2], &[2]);
    assert!(codes(graph, &[], 1).contains(&code::ATTRIBUTE_UNREAD));
}

#[test]
fn strings_are_no_numbers() {
    // Whatever stops it, it is stopped with a code and a place.
    let graph = one(Node(CONV_2D, &[0], &[1], Options::None), STRING, &[1, 2, 2, 1], &[1, 2, 2, 1]);
    assert!(!codes(graph, &[], 1).is_empty());
}
