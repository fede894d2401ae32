//! Small TensorFlow Lite files, written by an independent builder.
#![allow(dead_code, reason = "each file of tests uses a part of this")]
#![allow(missing_docs, reason = "a test's own builder")]

use flatbuffers::{FlatBufferBuilder, Push, UnionWIPOffset, WIPOffset};

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
pub const F32: i64 = 0;
pub const I8: i64 = 9;
pub const RESOURCE: i64 = 13;

/// A tensor: name, element type, shape, zero point of its quantization, its buffer.
pub struct Tensor(pub &'static str, pub i64, pub &'static [i32], pub Option<i64>, pub i64);

pub const RESHAPE: i64 = 22;
pub const CALL_ONCE: i64 = 129;
pub const VAR_HANDLE: i64 = 142;
pub const READ_VARIABLE: i64 = 143;
pub const ASSIGN_VARIABLE: i64 = 144;

/// What an operator's options hold.
pub enum Options {
    None,
    Once(i64),
    Handle(&'static str),
    /// A table of this union type with these numbers: slot, value, bytes.
    Numbers(i64, &'static [(u16, i64, u8)]),
}

/// An operator: code, inputs, outputs, options.
pub struct Node(pub i64, pub &'static [i32], pub &'static [i32], pub Options);

pub struct Graph {
    pub tensors: Vec<Tensor>,
    pub nodes: Vec<Node>,
    pub inputs: &'static [i32],
    pub outputs: &'static [i32],
}

/// The bytes of a file with these graphs and buffers (buffer 0 is empty).
pub fn file(graphs: &[Graph], buffers: &[&[u8]], version: i64) -> Vec<u8> {
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
                Options::Numbers(kind, numbers) => {
                    let mut options = Table::default();
                    for &(slot, value, bytes) in *numbers {
                        options = options.number(slot, value, bytes);
                    }
                    let options = options.write(&mut b);
                    table = table.number(3, *kind, 1).points(4, options);
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
            let table = Table::default().number(0, code.min(127), 1).number(2, version, 4);
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
