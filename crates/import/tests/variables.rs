//! State variables of TensorFlow Lite files, on files written here.

use flatbuffers::{FlatBufferBuilder, Push, UnionWIPOffset, WIPOffset};
use kinglet_graph::TensorKind;
use kinglet_import::Imported;
use std::sync::Arc;

type Builder = FlatBufferBuilder<'static>;
type Offset = WIPOffset<UnionWIPOffset>;

/// A table: what its slots point to, and the numbers in its slots.
#[derive(Default)]
struct Table {
    offsets: Vec<(u16, Offset)>,
    numbers: Vec<(u16, i64, u8)>,
}

impl Table {
    fn points(mut self, slot: u16, offset: Offset) -> Self {
        self.offsets.push((slot, offset));
        self
    }

    /// A number of this many bytes.
    fn number(mut self, slot: u16, value: i64, bytes: u8) -> Self {
        self.numbers.push((slot, value, bytes));
        self
    }

    fn write(self, b: &mut Builder) -> Offset {
        let start = b.start_table();
        for (slot, offset) in self.offsets {
            b.push_slot_always(4 + 2 * slot, offset);
        }
        for (slot, value, bytes) in self.numbers {
            match bytes {
                1 => b.push_slot_always(4 + 2 * slot, value as i8),
                _ => b.push_slot_always(4 + 2 * slot, value as i32),
            }
        }
        b.end_table(start).as_union_value()
    }
}

fn vector<T: Push<Output: 'static> + Copy>(b: &mut Builder, values: &[T]) -> Offset {
    b.create_vector(values).as_union_value()
}

fn text(b: &mut Builder, text: &str) -> Offset {
    b.create_string(text).as_union_value()
}

/// Element types as the schema numbers them.
const F32: i64 = 0;
const I8: i64 = 9;
const RESOURCE: i64 = 13;

/// A tensor: name, element type, shape, zero point of its quantization, its buffer.
struct Tensor(&'static str, i64, &'static [i32], Option<i64>, i64);

const RESHAPE: i64 = 22;
const CALL_ONCE: i64 = 129;
const VAR_HANDLE: i64 = 142;
const READ_VARIABLE: i64 = 143;
const ASSIGN_VARIABLE: i64 = 144;

/// What an operator's options hold.
enum Options {
    None,
    Once(i64),
    Handle(&'static str),
}

/// An operator: code, inputs, outputs, options.
struct Node(i64, &'static [i32], &'static [i32], Options);

struct Graph {
    tensors: Vec<Tensor>,
    nodes: Vec<Node>,
    inputs: &'static [i32],
    outputs: &'static [i32],
}

/// The bytes of a file with these graphs and buffers (buffer 0 is empty).
fn file(graphs: &[Graph], buffers: &[&[u8]]) -> Vec<u8> {
    let mut b = Builder::new();
    let mut codes: Vec<i64> = Vec::new();
    let mut subgraphs = Vec::new();
    for graph in graphs {
        let mut tensors = Vec::new();
        for &Tensor(name, element, shape, zero_point, buffer) in &graph.tensors {
            let mut table = Table::default().number(1, element, 1).number(2, buffer, 4);
            if let Some(zero_point) = zero_point {
                let (scales, zero_points) =
                    (vector(&mut b, &[0.5f32]), vector(&mut b, &[zero_point]));
                let quantization = Table::default().points(2, scales).points(3, zero_points);
                table = table.points(4, quantization.write(&mut b));
            }
            let (shape, name) = (vector(&mut b, shape), text(&mut b, name));
            tensors.push(table.points(0, shape).points(3, name).write(&mut b));
        }
        let mut nodes = Vec::new();
        for Node(code, inputs, outputs, options) in &graph.nodes {
            let index = codes.iter().position(|c| c == code).unwrap_or_else(|| {
                codes.push(*code);
                codes.len() - 1
            });
            let (inputs, outputs) = (vector(&mut b, inputs), vector(&mut b, outputs));
            let mut table =
                Table::default().number(0, index as i64, 4).points(1, inputs).points(2, outputs);
            match options {
                Options::None => {}
                Options::Once(subgraph) => {
                    let options = Table::default().number(0, *subgraph, 4).write(&mut b);
                    table = table.number(3, 103, 1).points(4, options);
                }
                Options::Handle(name) => {
                    let name = text(&mut b, name);
                    let options = Table::default().points(1, name).write(&mut b);
                    table = table.number(3, 111, 1).points(4, options);
                }
            }
            nodes.push(table.write(&mut b));
        }
        let (tensors, nodes) = (vector(&mut b, &tensors), vector(&mut b, &nodes));
        let (inputs, outputs) = (vector(&mut b, graph.inputs), vector(&mut b, graph.outputs));
        let table = Table::default().points(0, tensors).points(1, inputs).points(2, outputs);
        subgraphs.push(table.points(3, nodes).write(&mut b));
    }
    let codes: Vec<_> = codes
        .iter()
        .map(|&code| {
            let table = Table::default().number(0, code.min(127), 1).number(2, 1, 4);
            table.number(3, code, 4).write(&mut b)
        })
        .collect();
    let mut data = vec![Table::default().write(&mut b)];
    for bytes in buffers {
        let bytes = vector(&mut b, bytes);
        data.push(Table::default().points(0, bytes).write(&mut b));
    }
    let (codes, subgraphs, data) =
        (vector(&mut b, &codes), vector(&mut b, &subgraphs), vector(&mut b, &data));
    let model = Table::default().number(0, 3, 4).points(1, codes).points(2, subgraphs);
    let model = model.points(4, data).write(&mut b);
    b.finish(model, Some("TFL3"));
    b.finished_data().to_vec()
}

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
    kinglet_import::read(Arc::new(file(graphs, buffers)), "test")
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
