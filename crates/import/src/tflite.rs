//! TensorFlow Lite records to a graph.

use crate::Imported;
use kinglet_diag::{Diagnostic, Failure, Place, code};
use kinglet_formats::tflite::{self, Model, Operator, Subgraph, TensorType as FileType};
use kinglet_graph::{
    DType, Data, Node, NodeId, Port, Quantization, Tensor, TensorId, TensorKind, TensorType,
};
use kinglet_ops::eval::Evaluation;
use kinglet_ops::tflite::{Reading, TfliteNode};
use kinglet_ops::{Graph, Refusal, TfliteSpelling};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn import(block: &Arc<Vec<u8>>, name: &str) -> Result<Imported, Failure> {
    let model = tflite::read(block)?;
    let main = model.subgraphs.first().ok_or_else(|| kinglet_diag::bug("a model without graph"))?;
    let mut importer = Importer {
        model: &model,
        block,
        graph: Graph::default(),
        variables: BTreeMap::new(),
        problems: Vec::new(),
        remarks: model.warnings.clone(),
    };
    importer.graph.name = name.to_owned();
    importer.graph.description.clone_from(&model.description);
    let tensors = importer.subgraph(main, true)?;
    importer.ports(main, &tensors);
    if importer.problems.is_empty() {
        importer.verify();
    }
    if !importer.problems.is_empty() {
        return Err(Failure::new(importer.problems));
    }
    Ok(Imported { graph: importer.graph, remarks: importer.remarks })
}

struct Importer<'a> {
    model: &'a Model<'a>,
    block: &'a Arc<Vec<u8>>,
    graph: Graph,
    /// State variables by name.
    variables: BTreeMap<String, TensorId>,
    problems: Vec<Diagnostic>,
    remarks: Vec<Diagnostic>,
}

impl<'a> Importer<'a> {
    /// Adds a subgraph's tensors and nodes to the graph. Gives the graph's tensor for each of the
    /// file's.
    fn subgraph(
        &mut self,
        subgraph: &'a Subgraph<'a>,
        is_main: bool,
    ) -> Result<Vec<Option<TensorId>>, Failure> {
        let mut tensors = Vec::with_capacity(subgraph.tensors.len());
        for (index, tensor) in subgraph.tensors.iter().enumerate() {
            tensors.push(self.tensor(index, tensor, is_main));
        }
        for (index, operator) in subgraph.operators.iter().enumerate() {
            self.operator(index, operator, subgraph, &mut tensors)?;
        }
        Ok(tensors)
    }

    fn tensor(
        &mut self,
        index: usize,
        tensor: &'a tflite::Tensor<'a>,
        is_main: bool,
    ) -> Option<TensorId> {
        let place = || tflite::tensor_place(index, &tensor.name);
        let dtype = match tensor.element {
            FileType::Resource | FileType::Variant => return None,
            element => dtype(element),
        };
        let Some(dtype) = dtype else {
            self.problems.push(
                Diagnostic::error(
                    code::TENSOR_TYPE,
                    format!("elements of type {} are not supported", tensor.element.name()),
                )
                .at(Place::Byte(tensor.offset))
                .at(place())
                .help("convert the model with int8 or f32 tensors"),
            );
            return None;
        };
        let mut shape = Vec::with_capacity(tensor.shape.len());
        for (axis, &dim) in tensor.shape.iter().enumerate() {
            match usize::try_from(dim) {
                Ok(dim) => shape.push(dim),
                Err(_) => {
                    self.problems.push(
                        Diagnostic::error(
                            code::FREE_DIMENSION,
                            format!("axis {axis} has no value"),
                        )
                        .at(place())
                        .help("convert the model with a fixed input shape"),
                    );
                    shape.push(1);
                }
            }
        }
        let ty = TensorType::new(dtype, shape);
        if ty.checked_bytes().is_none() {
            self.problems.push(
                Diagnostic::error(code::TENSOR_TYPE, format!("{ty} is larger than the memory"))
                    .at(Place::Byte(tensor.offset))
                    .at(place()),
            );
            return None;
        }
        let free_axes = match &tensor.shape_signature {
            Some(signature) if signature.len() == tensor.shape.len() => {
                let axes = signature.iter().enumerate();
                axes.filter(|(_, dim)| **dim < 0).map(|(axis, _)| axis).collect()
            }
            _ => Vec::new(),
        };
        let kind = match tensor.data {
            _ if tensor.is_variable => TensorKind::State(Data::new(vec![0; ty.bytes()])),
            Some(data) => TensorKind::Constant(self.data(data)),
            None => TensorKind::Value,
        };
        let quantization = tensor.quantization.as_ref().filter(|q| !q.scales.is_empty());
        let quantization = quantization.map(|q| Quantization {
            scales: q.scales.clone(),
            zero_points: q.zero_points.clone(),
            axis: usize::try_from(q.quantized_dimension).unwrap_or(0),
        });
        Some(self.graph.add_tensor(Tensor {
            name: tensor.name.clone(),
            ty,
            quantization,
            kind,
            origin: if is_main { u32::try_from(index).ok() } else { None },
            free_axes,
        }))
    }

    /// A part of the file as data, without a copy.
    fn data(&self, part: &[u8]) -> Data {
        let start = part.as_ptr().addr().checked_sub(self.block.as_ptr().addr());
        let range = start.map(|start| start..start.saturating_add(part.len()));
        let shared = range.and_then(|range| Data::part(self.block, range));
        // The bytes lie in the block; were they elsewhere, a copy would be as right.
        shared.filter(|data| data.bytes() == part).unwrap_or_else(|| Data::new(part.to_vec()))
    }

    fn operator(
        &mut self,
        index: usize,
        operator: &'a Operator<'a>,
        subgraph: &'a Subgraph<'a>,
        tensors: &mut [Option<TensorId>],
    ) -> Result<(), Failure> {
        let Some(operator_code) = self.model.operator_codes.get(operator.code) else {
            return Err(kinglet_diag::bug("an operator code out of range"));
        };
        let label = operator_code.label();
        let place = tflite::node_place(index, label);
        let Some((_, spelling)) = kinglet_ops::by_tflite_code(label) else {
            let types = self.types_of(operator, subgraph);
            self.problems.push(
                Diagnostic::error(
                    code::OPERATOR_UNKNOWN,
                    format!("the operator {label} (version {}) is not supported: {types}", operator_code.version),
                )
                .at(place)
                .help("docs/operators.md lists what is supported; `kinglet inspect` shows the node's surroundings"),
            );
            return Ok(());
        };
        if !spelling.versions.contains(&operator_code.version) {
            self.problems.push(version_problem(spelling, operator_code.version).at(place));
            return Ok(());
        }
        let reading = {
            let tensor = |i: usize| tensors.get(i).copied().flatten();
            let node = TfliteNode {
                version: operator_code.version,
                attributes: &operator.attributes,
                custom_options: operator.custom_options,
                inputs: operator
                    .inputs
                    .iter()
                    .map(|i| i.and_then(tensor).map(|t| self.graph.tensor(t)))
                    .collect(),
                outputs: operator
                    .outputs
                    .iter()
                    .filter_map(|&i| tensor(i).map(|t| self.graph.tensor(t)))
                    .collect(),
            };
            (spelling.read)(&node)
        };
        let reading = match reading {
            Ok(reading) => reading,
            Err(refusal) => {
                self.problems.push(refused(label, refusal).at(place));
                return Ok(());
            }
        };
        for (name, value) in operator.attributes.unread() {
            self.problems.push(
                Diagnostic::error(
                    code::ATTRIBUTE_UNREAD,
                    format!("{label} attribute {name} = {value:?} is not supported"),
                )
                .at(place.clone())
                .help("nothing is ignored in silence: convert the model without this attribute"),
            );
        }
        match reading {
            Reading::Node(op) => {
                let mut inputs = Vec::with_capacity(operator.inputs.len());
                for input in &operator.inputs {
                    inputs.push(match *input {
                        None => None,
                        Some(i) => match tensors.get(i).copied().flatten() {
                            Some(tensor) => Some(tensor),
                            // A handle: it stands for a variable of the type of the value beside it.
                            None => self.variable_of(i, operator, subgraph, tensors, &place),
                        },
                    });
                }
                let outputs: Vec<_> = operator
                    .outputs
                    .iter()
                    .filter_map(|&i| tensors.get(i).copied().flatten())
                    .collect();
                let name = outputs.first().map(|&t| self.graph.tensor(t).name.clone());
                self.graph.nodes.push(Node {
                    op,
                    inputs,
                    outputs,
                    name: name.unwrap_or_default(),
                    origin: u32::try_from(index).ok(),
                });
            }
            // Handles are looked up by their tensor when a node uses them.
            Reading::Handle { .. } => {}
            Reading::Once { subgraph } => self.initialize(subgraph, &place)?,
        }
        Ok(())
    }

    /// The state variable that a handle tensor of a subgraph stands for.
    fn variable_of(
        &mut self,
        handle: usize,
        user: &Operator<'_>,
        subgraph: &'a Subgraph<'a>,
        tensors: &[Option<TensorId>],
        place: &Place,
    ) -> Option<TensorId> {
        let name = subgraph.operators.iter().find_map(|operator| {
            if !operator.outputs.contains(&handle) {
                return None;
            }
            let label = self.model.operator_codes.get(operator.code)?.label();
            let (_, spelling) = kinglet_ops::by_tflite_code(label)?;
            let node = TfliteNode {
                version: 1,
                attributes: &operator.attributes,
                custom_options: None,
                inputs: Vec::new(),
                outputs: Vec::new(),
            };
            match (spelling.read)(&node) {
                Ok(Reading::Handle { name }) => Some(name),
                _ => None,
            }
        });
        let Some(name) = name else {
            self.problems.push(
                Diagnostic::error(
                    code::STATE_VARIABLE,
                    format!("tensor {handle} is used as a state variable but no node makes its handle"),
                )
                .at(place.clone())
                .help("convert the model again; handles must come from VAR_HANDLE"),
            );
            return None;
        };
        if let Some(&variable) = self.variables.get(&name) {
            return Some(variable);
        }
        let beside = user.outputs.iter().copied().chain(user.inputs.iter().flatten().copied());
        let value = beside.filter_map(|i| tensors.get(i).copied().flatten()).next()?;
        let value = self.graph.tensor(value);
        let variable = Tensor {
            name: name.clone(),
            ty: value.ty.clone(),
            quantization: value.quantization.clone(),
            kind: TensorKind::State(Data::new(vec![0; value.ty.bytes()])),
            origin: None,
            free_axes: Vec::new(),
        };
        let variable = self.graph.add_tensor(variable);
        self.variables.insert(name, variable);
        Some(variable)
    }

    /// Runs an initialization subgraph now: what it assigns are the start values.
    fn initialize(&mut self, index: usize, place: &Place) -> Result<(), Failure> {
        let Some(subgraph) = self.model.subgraphs.get(index).filter(|_| index > 0) else {
            self.problems.push(
                Diagnostic::error(code::STATE_VARIABLE, format!("there is no subgraph {index}"))
                    .at(place.clone())
                    .help("the file is damaged: convert the model again"),
            );
            return Ok(());
        };
        let main_nodes = self.graph.nodes.len();
        // The nodes of the subgraph are added, run, and taken away again.
        self.subgraph(subgraph, false)?;
        let nodes = self.graph.nodes.split_off(main_nodes);
        let mut values: BTreeMap<TensorId, Vec<u8>> = BTreeMap::new();
        for node in &nodes {
            let result = run_once(&self.graph, node, &values);
            match result {
                Ok((outputs, states)) => {
                    values.extend(node.outputs.iter().copied().zip(outputs));
                    for (position, value) in states {
                        let state = node.inputs.get(position).copied().flatten();
                        if let Some(state) = state {
                            self.graph.tensor_mut(state).kind = TensorKind::State(Data::new(value));
                        }
                    }
                }
                Err(refusal) => {
                    let problem = refused(node.op.name(), refusal);
                    self.problems.push(problem.at(place.clone()));
                }
            }
        }
        Ok(())
    }

    fn types_of(&self, operator: &Operator<'_>, subgraph: &Subgraph<'_>) -> String {
        let ty = |i: usize| subgraph.tensors.get(i).map_or("?".to_owned(), |t| t.element.name().to_owned());
        let inputs: Vec<_> =
            operator.inputs.iter().map(|i| i.map_or("none".to_owned(), ty)).collect();
        let outputs: Vec<_> = operator.outputs.iter().map(|&i| ty(i)).collect();
        format!("({}) -> ({})", inputs.join(", "), outputs.join(", "))
    }

    fn ports(&mut self, main: &Subgraph<'_>, tensors: &[Option<TensorId>]) {
        let signature = self.model.signatures.iter().find(|signature| signature.subgraph == 0);
        let info = self.model.info.as_ref().and_then(|info| info.subgraphs.first());
        for is_input in [true, false] {
            let list = if is_input { &main.inputs } else { &main.outputs };
            let mut ports = Vec::with_capacity(list.len());
            for (position, &index) in list.iter().enumerate() {
                let Some(tensor) = tensors.get(index).copied().flatten() else {
                    self.problems.push(
                        Diagnostic::error(
                            code::TENSOR_TYPE,
                            "a handle cannot be an input or output of a model",
                        )
                        .at(tflite::tensor_place(index, "")),
                    );
                    continue;
                };
                let named = signature.and_then(|signature| {
                    let names = if is_input { &signature.inputs } else { &signature.outputs };
                    names.iter().find(|(_, t)| *t == index).map(|(name, _)| name.clone())
                });
                let described = info.and_then(|info| {
                    let infos = if is_input { &info.inputs } else { &info.outputs };
                    infos.get(position)
                });
                let labels = described.map_or_else(Vec::new, |info| self.labels(info));
                let name = named.unwrap_or_else(|| self.graph.tensor(tensor).name.clone());
                ports.push(Port { name, tensor, labels });
            }
            if is_input {
                self.graph.inputs = ports;
            } else {
                self.graph.outputs = ports;
            }
        }
    }

    /// The lines of the first label file a tensor's metadata names.
    fn labels(&self, info: &tflite::TensorInfo) -> Vec<String> {
        let file = info.files.iter().find_map(|described| {
            self.model.associated_files.iter().find(|file| file.name == described.name)
        });
        let text = file.and_then(|file| std::str::from_utf8(&file.data).ok()).unwrap_or("");
        text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
    }

    /// Compares what the file says of shapes and order with what follows from its operators.
    fn verify(&mut self) {
        let mut written: Vec<bool> = self
            .graph
            .tensors
            .iter()
            .map(|tensor| !matches!(tensor.kind, TensorKind::Value))
            .collect();
        for port in &self.graph.inputs {
            if let Some(flag) = written.get_mut(port.tensor.index()) {
                *flag = true;
            }
        }
        let mut problems = Vec::new();
        for id in self.graph.node_ids() {
            problems.extend(check_node(&self.graph, id, &mut written));
        }
        for port in &self.graph.outputs {
            if !written.get(port.tensor.index()).copied().unwrap_or(false) {
                problems.push(
                    Diagnostic::error(code::ORDER, "no node writes this output")
                        .at(tensor_place(&self.graph, port.tensor)),
                );
            }
        }
        self.problems.extend(problems);
    }
}

fn check_node(graph: &Graph, id: NodeId, written: &mut [bool]) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let node = graph.node(id);
    let place = || Place::Node(graph.node_label(id));
    for &input in node.inputs.iter().flatten() {
        if !written.get(input.index()).copied().unwrap_or(false) {
            problems.push(
                Diagnostic::error(code::ORDER, "a node reads a tensor that no earlier node writes")
                    .at(place())
                    .at(tensor_place(graph, input))
                    .help("operators must stand in execution order; a cycle cannot be run"),
            );
        }
    }
    for &output in &node.outputs {
        match written.get_mut(output.index()) {
            Some(flag) if !*flag => *flag = true,
            _ => problems.push(
                Diagnostic::error(code::ORDER, "a tensor is written twice, or is a constant or input")
                    .at(place())
                    .at(tensor_place(graph, output)),
            ),
        }
    }
    let inputs: Vec<_> = node.inputs.iter().map(|i| i.map(|t| graph.tensor(t))).collect();
    match node.op.infer(&inputs) {
        Err(error) => problems.push(
            Diagnostic::error(code::SHAPE, format!("{}: {error}", node.op.name())).at(place()),
        ),
        Ok(types) if types.len() != node.outputs.len() => problems.push(
            Diagnostic::error(
                code::SHAPE,
                format!("{} outputs, expected {}", node.outputs.len(), types.len()),
            )
            .at(place()),
        ),
        Ok(types) => {
            for (ty, &output) in types.iter().zip(&node.outputs) {
                let tensor = graph.tensor(output);
                if tensor.ty != *ty {
                    problems.push(
                        Diagnostic::error(
                            code::SHAPE,
                            format!("the file says {}, but {} gives {ty}", tensor.ty, node.op.name()),
                        )
                        .at(place())
                        .at(tensor_place(graph, output))
                        .help("the file contradicts itself: convert the model again"),
                    );
                }
            }
        }
    }
    problems
}

fn tensor_place(graph: &Graph, id: TensorId) -> Place {
    let tensor = graph.tensor(id);
    let index = tensor.origin.and_then(|origin| usize::try_from(origin).ok());
    tflite::tensor_place(index.unwrap_or(id.index()), &tensor.name)
}

/// New values of state variables by input position.
type States = Vec<(usize, Vec<u8>)>;

fn run_once(
    graph: &Graph,
    node: &Node<dyn kinglet_ops::Op>,
    values: &BTreeMap<TensorId, Vec<u8>>,
) -> Result<(Vec<Vec<u8>>, States), Refusal> {
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for input in &node.inputs {
        inputs.push(match *input {
            None => None,
            Some(id) => {
                let tensor = graph.tensor(id);
                let bytes = match &tensor.kind {
                    TensorKind::Constant(data) | TensorKind::State(data) => Some(data.bytes()),
                    TensorKind::Value => values.get(&id).map(Vec::as_slice),
                };
                let bytes = bytes.ok_or("start values must not depend on inputs")?;
                Some((tensor, bytes))
            }
        });
    }
    let outputs = node.outputs.iter().map(|&t| graph.tensor(t)).collect();
    let mut evaluation = Evaluation::new(inputs, outputs);
    node.op.evaluate(&mut evaluation)?;
    Ok(evaluation.finish())
}

fn version_problem(spelling: &TfliteSpelling, version: i32) -> Diagnostic {
    let (first, last) = (spelling.versions.start(), spelling.versions.end());
    Diagnostic::error(
        code::OPERATOR_VERSION,
        format!("{} version {version} is not supported, versions {first} to {last} are", spelling.code),
    )
    .help("convert the model with another version of the converter, or update Kinglet")
}

fn refused(operator: &str, refusal: Refusal) -> Diagnostic {
    let mut diagnostic =
        Diagnostic::error(code::OPERATOR_REFUSED, format!("{operator}: {}", refusal.why));
    diagnostic.help = refusal.help;
    diagnostic
}

fn dtype(element: FileType) -> Option<DType> {
    Some(match element {
        FileType::Bool => DType::Bool,
        FileType::Int4 => DType::I4,
        FileType::Int8 => DType::I8,
        FileType::UInt8 => DType::U8,
        FileType::Int16 => DType::I16,
        FileType::UInt16 => DType::U16,
        FileType::Int32 => DType::I32,
        FileType::UInt32 => DType::U32,
        FileType::Int64 => DType::I64,
        FileType::UInt64 => DType::U64,
        FileType::Float16 => DType::F16,
        FileType::Float32 => DType::F32,
        FileType::Float64 => DType::F64,
        FileType::Complex64 => DType::Complex64,
        FileType::Complex128 => DType::Complex128,
        FileType::String => DType::String,
        FileType::Resource
        | FileType::Variant
        | FileType::BFloat16
        | FileType::Int2
        | FileType::UInt4
        | FileType::Float8E4M3FN
        | FileType::Float8E5M2 => return None,
    })
}
