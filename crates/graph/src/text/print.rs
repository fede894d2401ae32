//! A graph to text.

use super::data::write_data;
use super::number::print_float;
use crate::{
    Attribute, Data, Graph, Node, Operator, Port, Quantization, Tensor, TensorId, TensorKind,
};

/// Lists are broken into lines that end before this column where they can be.
const WIDTH: usize = 100;
/// Lists of no more elements than this are not broken: strides, shapes.
const MAX_UNBROKEN: usize = 4;
/// In a listing, data and scales of more elements than this are left out.
const MAX_SHOWN: usize = 8;

/// The whole graph, read back exactly by [`super::parse`].
pub fn print<O: ?Sized + Operator>(graph: &Graph<O>) -> String {
    write_graph(graph, false)
}

/// The graph for reading: long data and long lists of scales are left out and say how long they are.
pub fn listing<O: ?Sized + Operator>(graph: &Graph<O>) -> String {
    write_graph(graph, true)
}

fn write_graph<O: ?Sized + Operator>(graph: &Graph<O>, is_listing: bool) -> String {
    let mut printer = Printer { graph, writer: Writer::default(), is_listing };
    printer.graph();
    printer.writer.finish()
}

struct Printer<'g, O: ?Sized> {
    graph: &'g Graph<O>,
    writer: Writer,
    is_listing: bool,
}

impl<O: ?Sized + Operator> Printer<'_, O> {
    fn graph(&mut self) {
        let graph = self.graph;
        self.writer.push(&format!("graph {}\n", quote(&graph.name)));
        if !graph.description.is_empty() {
            self.writer.push(&format!("description {}\n", quote(&graph.description)));
        }
        for (keyword, ports) in [("input", &graph.inputs), ("output", &graph.outputs)] {
            for port in ports {
                self.port(keyword, port);
            }
        }
        // A tensor is declared where it is written for the first time, the others before all nodes.
        let mut declared_at = vec![None; graph.tensors.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            for output in &node.outputs {
                match (declared_at.get_mut(output.index()), graph.tensors.get(output.index())) {
                    (Some(place @ None), Some(tensor)) if tensor.kind == TensorKind::Value => {
                        *place = Some(index);
                    }
                    _ => {}
                }
            }
        }
        let mut is_first = true;
        for id in graph.tensor_ids() {
            if declared_at.get(id.index()).copied().flatten().is_none() {
                self.writer.push(if is_first { "\n" } else { "" });
                is_first = false;
                self.tensor(id);
                self.writer.push("\n");
            }
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            self.writer.push(if index == 0 { "\n" } else { "" });
            self.node(index, node, &mut declared_at);
            self.writer.push("\n");
        }
    }

    fn port(&mut self, keyword: &str, port: &Port) {
        self.writer.push(&format!("{keyword} {}", port.tensor));
        let tensor = self.graph.tensors.get(port.tensor.index());
        if tensor.is_none_or(|tensor| tensor.name != port.name) {
            self.writer.push(&format!(" {}", quote(&port.name)));
        }
        if !port.labels.is_empty() {
            self.writer.push(" labels ");
            let labels: Vec<_> = port.labels.iter().map(|label| quote(label)).collect();
            self.writer.list(&labels);
        }
        self.writer.push("\n");
    }

    fn tensor(&mut self, id: TensorId) {
        self.declare(id);
        let Some(tensor) = self.graph.tensors.get(id.index()) else { return };
        match &tensor.kind {
            TensorKind::Value => {}
            TensorKind::Constant(data) => {
                self.writer.push(" = constant ");
                self.data(data, tensor);
            }
            TensorKind::State(data) => {
                self.writer.push(" = state ");
                self.data(data, tensor);
            }
        }
    }

    fn declare(&mut self, id: TensorId) {
        let Some(tensor) = self.graph.tensors.get(id.index()) else { return };
        let dims = tensor.ty.shape.iter().enumerate().map(|(axis, dim)| {
            let mark = if tensor.free_axes.contains(&axis) { "?" } else { "" };
            format!("{mark}{dim}")
        });
        let dims: Vec<_> = dims.collect();
        self.writer.push(&format!("{id}: {}[{}]", tensor.ty.dtype, dims.join(",")));
        if let Some(quantization) = &tensor.quantization {
            self.quantization(quantization);
        }
        if !tensor.name.is_empty() {
            self.writer.push(&format!(" {}", quote(&tensor.name)));
        }
        self.origin(tensor.origin);
    }

    fn origin(&mut self, origin: Option<u32>) {
        if let Some(origin) = origin {
            self.writer.push(&format!(" @{origin}"));
        }
    }

    fn quantization(&mut self, quantization: &Quantization) {
        let Quantization { scales, zero_points, axis } = quantization;
        self.writer.push(" q(");
        let is_single = scales.len() == 1;
        if self.is_listing && scales.len() > MAX_SHOWN {
            self.writer.push(&format!("<{} scales>", scales.len()));
        } else {
            let texts: Vec<_> = scales.iter().map(|&scale| print_float(scale)).collect();
            match texts.as_slice() {
                [scale] => self.writer.push(scale),
                texts => self.writer.list(texts),
            }
        }
        self.writer.push(", ");
        let first = zero_points.first().filter(|&first| {
            zero_points.len() == scales.len() && zero_points.iter().all(|zero| zero == first)
        });
        match first {
            Some(zero_point) => self.writer.push(&zero_point.to_string()),
            None if self.is_listing && zero_points.len() > MAX_SHOWN => {
                self.writer.push(&format!("<{} zero points>", zero_points.len()));
            }
            None => {
                let texts: Vec<_> = zero_points.iter().map(ToString::to_string).collect();
                self.writer.list(&texts);
            }
        }
        if !is_single || *axis != 0 {
            self.writer.push(&format!(", axis {axis}"));
        }
        self.writer.push(")");
    }

    fn data(&mut self, data: &Data, tensor: &Tensor) {
        let elements = tensor.ty.checked_len().unwrap_or(usize::MAX);
        if self.is_listing && elements > MAX_SHOWN {
            self.writer.push(&format!("<{} bytes>", data.bytes().len()));
        } else {
            write_data(&mut self.writer, data, &tensor.ty);
        }
    }

    fn node(&mut self, index: usize, node: &Node<O>, declared_at: &mut [Option<usize>]) {
        for (position, &output) in node.outputs.iter().enumerate() {
            self.writer.push(if position > 0 { ", " } else { "" });
            match declared_at.get_mut(output.index()) {
                Some(place) if *place == Some(index) => {
                    // Were it written twice by this node, the second time is a use.
                    *place = None;
                    self.declare(output);
                }
                _ => self.writer.push(&output.to_string()),
            }
        }
        let inputs: Vec<_> = node
            .inputs
            .iter()
            .map(|input| input.map_or("none".to_owned(), |id| id.to_string()))
            .collect();
        let equals = if node.outputs.is_empty() { "" } else { " = " };
        self.writer.push(&format!("{equals}{}({})", node.op.name(), inputs.join(", ")));
        let attributes = node.op.attributes();
        if !attributes.is_empty() {
            self.writer.push(" {");
            for (position, (name, value)) in attributes.iter().enumerate() {
                self.writer.push(if position > 0 { ", " } else { "" });
                self.writer.push(&format!("{name} = "));
                self.attribute(value);
            }
            self.writer.push("}");
        }
        let first = node.outputs.first().and_then(|id| self.graph.tensors.get(id.index()));
        let usual = first.map_or("", |tensor| tensor.name.as_str());
        if node.name != usual || node.origin.is_some() {
            self.writer.push(" node");
            if node.name != usual {
                self.writer.push(&format!(" {}", quote(&node.name)));
            }
            self.origin(node.origin);
        }
    }

    fn attribute(&mut self, value: &Attribute) {
        let texts = match value {
            Attribute::Int(value) => return self.writer.push(&value.to_string()),
            Attribute::Float(value) => return self.writer.push(&print_float(*value)),
            Attribute::Bool(value) => return self.writer.push(&value.to_string()),
            Attribute::Word(word) => return self.writer.push(word),
            Attribute::Text(text) => return self.writer.push(&quote(text)),
            // An empty list of floats would be read as one of whole numbers.
            Attribute::Floats(values) if values.is_empty() => return self.writer.push("f32[]"),
            Attribute::Ints(values) => values.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Attribute::Floats(values) => values.iter().map(|&value| print_float(value)).collect(),
        };
        self.writer.list(&texts);
    }
}

/// A text in quotes. What does not print, or would change how what follows is printed, is escaped.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Controls, invisible spaces, direction marks, line separators, byte order mark.
            c if c.is_control()
                || matches!(
                    c,
                    '\u{ad}'
                        | '\u{61c}'
                        | '\u{200b}'..='\u{200f}'
                        | '\u{2028}'..='\u{202e}'
                        | '\u{2060}'..='\u{206f}'
                        | '\u{feff}'
                ) =>
            {
                quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Text that knows how far its last line reaches.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
    line: usize,
}

impl Writer {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if let Some(end) = text.rfind('\n') {
            self.line = self.text.len() - (text.len() - end) + 1;
        }
    }

    /// A list in brackets: on the line if it fits, else on lines of its own.
    pub(crate) fn list(&mut self, elements: &[String]) {
        let inline = elements.join(", ");
        if self.text.len() - self.line + inline.len() + 2 <= WIDTH || elements.len() <= MAX_UNBROKEN
        {
            return self.push(&format!("[{inline}]"));
        }
        self.push("[");
        let mut column = WIDTH;
        for (index, element) in elements.iter().enumerate() {
            let comma = if index + 1 < elements.len() { "," } else { "" };
            if column + 2 + element.len() > WIDTH {
                self.push("\n  ");
                column = 2;
            } else {
                self.push(" ");
                column += 1;
            }
            self.push(&format!("{element}{comma}"));
            column += element.len() + comma.len();
        }
        self.push("\n]");
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}
