//! State variables of TensorFlow Lite files, on files written here.

mod file;

use file::{
    ASSIGN_VARIABLE, CALL_ONCE, F32, Graph, I8, Node, Options, READ_VARIABLE, RESHAPE, RESOURCE,
    Tensor, VAR_HANDLE, file,
};
use kinglet_graph::TensorKind;
use kinglet_import::Imported;
use std::sync::Arc;

/// A main graph that gives out the variable `v`, an i8 vector of two, and sets it to its input.
fn main_graph() -> Graph {
    Graph {
        tensors: vec![
            Tensor("x", I8, &[2], Some(-5), 0),
            Tensor("handle", RESOURCE, &[], None, 0),
            Tensor("y", I8, &[2], Some(-5), 0),
        ],
        nodes: vec![
            Node(VAR_HANDLE, &[], &[1], Options::Handle("v")),
            Node(READ_VARIABLE, &[1], &[2], Options::None),
            Node(ASSIGN_VARIABLE, &[1, 0], &[], Options::None),
        ],
        inputs: &[0],
        outputs: &[2],
    }
}

/// A graph that sets `v` to the constant in buffer 1.
fn initialization() -> Graph {
    Graph {
        tensors: vec![
            Tensor("handle", RESOURCE, &[], None, 0),
            Tensor("start", I8, &[2], Some(-5), 1),
        ],
        nodes: vec![
            Node(VAR_HANDLE, &[], &[0], Options::Handle("v")),
            Node(ASSIGN_VARIABLE, &[0, 1], &[], Options::None),
        ],
        inputs: &[],
        outputs: &[],
    }
}

/// The main graph after a call of subgraph 1.
fn initialized() -> Graph {
    let mut graph = main_graph();
    graph.nodes.insert(0, Node(CALL_ONCE, &[], &[], Options::Once(1)));
    graph
}

fn read(graphs: &[Graph], buffers: &[&[u8]]) -> kinglet_diag::Result<Imported> {
    kinglet_import::read(Arc::new(file(graphs, buffers, 1)), "test")
}

/// The start values of all state variables.
fn starts(graphs: &[Graph], buffers: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    let graph = read(graphs, buffers).unwrap().graph;
    let start = |id| match &graph.tensor(id).kind {
        TensorKind::State(data) => (graph.tensor(id).name.clone(), data.bytes().to_vec()),
        other => panic!("{other:?}"),
    };
    graph.states().map(start).collect()
}

/// The first diagnostic: its code and text.
#[track_caller]
fn refused(graphs: &[Graph], words: &str) {
    let failure = read(graphs, &[&[7, 249]]).expect_err("the file should be refused");
    let first = failure.first();
    assert_eq!(first.code, kinglet_diag::code::STATE_VARIABLE, "{first}");
    assert!(first.to_string().contains(words), "{words:?} is not in {first}");
    assert!(first.help.is_some(), "no help in {first}");
}

#[test]
fn an_initialization_gives_start_values() {
    let graphs = [initialized(), initialization()];
    assert_eq!(starts(&graphs, &[&[7, 249]]), [("v".to_owned(), vec![7, 249])]);
}

#[test]
fn nothing_of_an_initialization_stays_in_the_graph() {
    let graph = read(&[initialized(), initialization()], &[&[7, 249]]).unwrap().graph;
    let names: Vec<_> = graph.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names, ["x", "y", "v"]);
    let nodes: Vec<_> = graph.nodes.iter().map(|node| node.op.name()).collect();
    assert_eq!(nodes, ["read_variable", "assign_variable"]);
}

#[test]
fn a_variable_nobody_sets_starts_at_its_zero_point() {
    assert_eq!(starts(&[main_graph()], &[]), [("v".to_owned(), vec![251, 251])]);
    let mut float = main_graph();
    float.tensors[0] = Tensor("x", F32, &[2], None, 0);
    float.tensors[2] = Tensor("y", F32, &[2], None, 0);
    assert_eq!(starts(&[float], &[]), [("v".to_owned(), vec![0; 8])]);
}

#[test]
fn a_subgraph_runs_once_however_often_it_is_called() {
    let mut main = initialized();
    main.nodes.push(Node(CALL_ONCE, &[], &[], Options::Once(1)));
    assert_eq!(starts(&[main, initialization()], &[&[7, 249]]), [("v".to_owned(), vec![7, 249])]);
}

#[test]
fn variables_are_told_apart_by_name() {
    let mut main = main_graph();
    main.tensors.push(Tensor("other", RESOURCE, &[], None, 0));
    main.nodes.insert(0, Node(VAR_HANDLE, &[], &[3], Options::Handle("w")));
    main.nodes.push(Node(ASSIGN_VARIABLE, &[3, 0], &[], Options::None));
    let names: Vec<_> = starts(&[main], &[]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["v", "w"]);
}

#[test]
fn a_handle_comes_from_an_earlier_node() {
    let mut main = main_graph();
    main.nodes.remove(0);
    refused(&[main], "no handle");
    let mut late = main_graph();
    late.nodes.swap(0, 1);
    refused(&[late], "no handle");
}

#[test]
fn only_variables_take_handles() {
    let mut main = main_graph();
    main.nodes[1] = Node(RESHAPE, &[1], &[2], Options::None);
    refused(&[main], "RESHAPE does not take the handle");
}

#[test]
fn an_initialization_must_be_there() {
    for subgraph in [0, 1, -1, 99] {
        let mut main = main_graph();
        main.nodes.insert(0, Node(CALL_ONCE, &[], &[], Options::Once(subgraph)));
        let failure = read(&[main], &[]).expect_err("the file should be refused");
        assert!(failure.first().to_string().contains("subgraph"), "{failure:?}");
    }
}

#[test]
fn an_initialization_does_not_call_another_one() {
    let mut inner = initialization();
    inner.nodes.push(Node(CALL_ONCE, &[], &[], Options::Once(1)));
    refused(&[initialized(), inner], "calls another one");
}

#[test]
fn start_values_come_before_the_first_use() {
    let mut main = main_graph();
    main.nodes.push(Node(CALL_ONCE, &[], &[], Options::Once(1)));
    refused(&[main, initialization()], "before its start value");
}

#[test]
fn a_start_value_is_of_the_variables_type() {
    let mut main = initialized();
    main.tensors[0] = Tensor("x", I8, &[1, 2], Some(-5), 0);
    main.tensors[2] = Tensor("y", I8, &[1, 2], Some(-5), 0);
    refused(&[main, initialization()], "its start value is i8[2]");
}

#[test]
fn start_values_do_not_depend_on_inputs() {
    let mut inner = initialization();
    inner.tensors[1] = Tensor("start", I8, &[2], Some(-5), 0);
    inner.inputs = &[1];
    let failure = read(&[initialized(), inner], &[]).expect_err("the file should be refused");
    assert_eq!(failure.first().code, kinglet_diag::code::ORDER, "{failure:?}");
}

#[test]
fn more_state_than_any_memory_is_refused() {
    let mut main = main_graph();
    main.tensors[0] = Tensor("x", I8, &[i32::MAX, 2], Some(-5), 0);
    main.tensors[2] = Tensor("y", I8, &[i32::MAX, 2], Some(-5), 0);
    refused(&[main], "bytes of state variables");
}

#[test]
fn an_initialization_that_computes_for_long_is_refused() {
    // A tensor nobody stored, read from another variable: the file need not be large.
    const BIG: &[i32] = &[1 << 20, 130];
    let mut inner = initialization();
    inner.tensors[1] = Tensor("start", I8, BIG, Some(-5), 0);
    inner.tensors.push(Tensor("source", RESOURCE, &[], None, 0));
    inner.nodes.insert(1, Node(VAR_HANDLE, &[], &[2], Options::Handle("w")));
    inner.nodes.insert(2, Node(READ_VARIABLE, &[2], &[1], Options::None));
    let failure = read(&[initialized(), inner], &[]).expect_err("the file should be refused");
    assert!(failure.first().to_string().contains("too long to compute"), "{failure:?}");
}
