//! TensorFlow Lite records to a graph.

mod variables;

use self::variables::{Handles, Variables};
use crate::Imported;
use kinglet_diag::{Diagnostic, Failure, Place, code};
use kinglet_formats::tflite::{self, Model, Operator, Subgraph, TensorType as FileType};
use kinglet_graph::{
    DType, Data, Node, Port, Quantization, Tensor, TensorId, TensorKind, TensorType,
};
use kinglet_ops::tflite::{Reading, TfliteNode};
use kinglet_ops::{Graph, Refusal, TfliteSpelling};
use std::sync::Arc;

pub(crate) fn import(block: &Arc<Vec<u8>>, name: &str) -> Result<Imported, Failure> {
    let model = tflite::read(block)?;
    let main = model.subgraphs.first().ok_or_else(|| kinglet_diag::bug("a model without graph"))?;
    let mut importer = Importer {
        model: &model,
        block,
        graph: Graph::default(),
        variables: Variables::default(),
        problems: Vec::new(),
        remarks: model.warnings.clone(),
    };
    importer.graph.name = name.to_owned();
    importer.graph.description.clone_from(&model.description);
    let tensors = importer.subgraph(main, true)?;
    importer.ports(main, &tensors);
    if !importer.problems.is_empty() {
        return Err(Failure::new(importer.problems));
    }
    kinglet_graph::verify::verify(&importer.graph)?;
    Ok(Imported { graph: importer.graph, remarks: importer.remarks })
}

struct Importer<'a> {
    model: &'a Model<'a>,
    block: &'a Arc<Vec<u8>>,
    graph: Graph,
    variables: Variables,
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
        let mut handles = Handles::new();
        for (index, operator) in subgraph.operators.iter().enumerate() {
            self.operator(index, operator, subgraph, &tensors, &mut handles)?;
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
        let quantization = tensor.quantization.as_ref().filter(|q| !q.scales.is_empty());
        let kind = match tensor.data {
            _ if tensor.is_variable => {
                // TensorFlow Lite Micro starts an int8 variable at its zero point, any other at zero.
                let zero_point = quantization.and_then(|q| q.zero_points.first()).copied();
                let zero_point = zero_point.filter(|_| dtype == DType::I8).unwrap_or(0);
                self.zeros(&ty, zero_point, &place())?
            }
            Some(data) => TensorKind::Constant(self.data(data)),
            None => TensorKind::Value,
        };
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
        tensors: &[Option<TensorId>],
        handles: &mut Handles,
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
        let tensor = |i: usize| tensors.get(i).copied().flatten();
        let mut inputs: Vec<_> = operator.inputs.iter().map(|i| i.and_then(tensor)).collect();
        let outputs: Vec<_> = operator.outputs.iter().filter_map(|&i| tensor(i)).collect();
        let op = match reading {
            Reading::Node(op) => {
                self.no_handles(label, operator, subgraph, &place);
                op
            }
            Reading::Variable(op) => {
                let beside = outputs.first().copied().or_else(|| inputs.get(1).copied().flatten());
                let variable = self.variable(operator, handles, beside, &place);
                if let Some(input) = inputs.first_mut() {
                    *input = variable;
                }
                op
            }
            Reading::Handle { name } => {
                handles.extend(operator.outputs.iter().map(|&output| (output, name.clone())));
                return Ok(());
            }
            Reading::Once { subgraph } => return self.initialize(subgraph, &place),
        };
        let name = outputs.first().map(|&t| self.graph.tensor(t).name.clone());
        self.graph.nodes.push(Node {
            op,
            inputs,
            outputs,
            name: name.unwrap_or_default(),
            origin: u32::try_from(index).ok(),
        });
        Ok(())
    }

    /// Reports handles among the inputs of an operator that takes none.
    fn no_handles(
        &mut self,
        label: &str,
        operator: &Operator<'_>,
        subgraph: &Subgraph<'_>,
        place: &Place,
    ) {
        let is_handle = |&i: &usize| {
            let element = subgraph.tensors.get(i).map(|tensor| tensor.element);
            matches!(element, Some(FileType::Resource | FileType::Variant))
        };
        if let Some(handle) = operator.inputs.iter().flatten().copied().find(is_handle) {
            self.problems.push(
                Diagnostic::error(
                    code::STATE_VARIABLE,
                    format!("{label} does not take the handle of a state variable"),
                )
                .at(place.clone())
                .at(tflite::tensor_place(handle, ""))
                .help("a variable must be read by READ_VARIABLE first: convert the model again"),
            );
        }
    }

    fn types_of(&self, operator: &Operator<'_>, subgraph: &Subgraph<'_>) -> String {
        let ty = |i: usize| {
            subgraph.tensors.get(i).map_or("?".to_owned(), |t| t.element.name().to_owned())
        };
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
}

fn version_problem(spelling: &TfliteSpelling, version: i32) -> Diagnostic {
    let (first, last) = (spelling.versions.start(), spelling.versions.end());
    Diagnostic::error(
        code::OPERATOR_VERSION,
        format!(
            "{} version {version} is not supported, versions {first} to {last} are",
            spelling.code
        ),
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
