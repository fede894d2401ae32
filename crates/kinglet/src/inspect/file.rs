//! Describing a file whose operators are not all known: what it says, without giving it a meaning.

use super::{
    FileFacts, FreeAxis, Inspection, Kinds, NodeFacts, PortFacts, QuantizationFacts, StateFacts,
    Totals, operators,
};
use kinglet_diag::Diagnostic;
use kinglet_formats::tflite::{Model, Operator, Subgraph, Tensor, TensorType};

/// Describes the main subgraph of a file.
pub(super) fn describe(
    model: &Model<'_>,
    mut facts: FileFacts,
    problems: Vec<Diagnostic>,
) -> Inspection {
    facts.description.clone_from(&model.description);
    let Some(main) = model.subgraphs.first() else {
        // The reader gives no model without one.
        return empty(facts, problems);
    };
    let nodes: Vec<NodeFacts> =
        main.operators.iter().enumerate().map(|(i, op)| node(model, main, i, op)).collect();
    let weights: Vec<&Tensor<'_>> = main.tensors.iter().filter(|t| is_weight(t)).collect();
    let known = |name: &str| kinglet_ops::by_name(name).is_some();
    Inspection {
        inputs: main.inputs.iter().map(|&i| port(model, main, i, true)).collect(),
        outputs: main.outputs.iter().map(|&i| port(model, main, i, false)).collect(),
        operators: operators(nodes.iter().map(|n| (n.operator.as_str(), known(&n.operator), None))),
        totals: Totals {
            nodes: nodes.len(),
            macs: None,
            parameters: weights.iter().map(|tensor| elements(tensor)).sum(),
            weight_bytes: weights.iter().map(|tensor| data_bytes(tensor)).sum(),
        },
        nodes,
        quantization: quantization(main),
        states: states(main),
        free_axes: free_axes(model, main),
        ..empty(facts, problems)
    }
}

fn empty(model: FileFacts, problems: Vec<Diagnostic>) -> Inspection {
    Inspection {
        model,
        supported: false,
        inputs: Vec::new(),
        outputs: Vec::new(),
        operators: Vec::new(),
        nodes: Vec::new(),
        totals: Totals::default(),
        quantization: QuantizationFacts::default(),
        states: Vec::new(),
        free_axes: Vec::new(),
        memory: None,
        problems,
    }
}

/// The type as the file gives it; an axis without a value is `?`.
fn type_of(tensor: &Tensor<'_>) -> String {
    let dims: Vec<String> = tensor
        .shape
        .iter()
        .map(|&dim| if dim < 0 { "?".into() } else { dim.to_string() })
        .collect();
    format!("{}[{}]", element_name(tensor.element), dims.join(","))
}

/// A type's name as the rest of Kinglet spells it: `INT8` is `i8`.
fn element_name(element: TensorType) -> String {
    let name = element.name().to_lowercase();
    for (long, brief) in [("float", "f"), ("uint", "u"), ("int", "i")] {
        if let Some(bits) = name.strip_prefix(long).filter(|rest| rest.parse::<u32>().is_ok()) {
            return format!("{brief}{bits}");
        }
    }
    name
}

fn elements(tensor: &Tensor<'_>) -> u64 {
    let sizes = tensor.shape.iter().map(|&dim| u64::try_from(dim).unwrap_or(0));
    sizes.fold(1, u64::saturating_mul)
}

fn data_bytes(tensor: &Tensor<'_>) -> u64 {
    tensor.data.map_or(0, |data| data.len() as u64)
}

fn is_float(element: TensorType) -> bool {
    matches!(
        element,
        TensorType::Float16 | TensorType::Float32 | TensorType::Float64 | TensorType::BFloat16
    )
}

fn is_quantized(tensor: &Tensor<'_>) -> bool {
    tensor.quantization.as_ref().is_some_and(|q| !q.scales.is_empty() || q.details.is_some())
}

fn is_weight(tensor: &Tensor<'_>) -> bool {
    tensor.data.is_some() && (is_float(tensor.element) || is_quantized(tensor))
}

fn port(model: &Model<'_>, main: &Subgraph<'_>, index: usize, is_input: bool) -> PortFacts {
    let Some(tensor) = main.tensors.get(index) else { return PortFacts::default() };
    let scales =
        tensor.quantization.as_ref().map(|q| (q.scales.as_slice(), q.zero_points.as_slice()));
    let single = match scales {
        Some(([scale], [zero_point])) => Some((*scale, *zero_point)),
        _ => None,
    };
    PortFacts {
        name: name_of(model, index, is_input).unwrap_or_else(|| tensor.name.clone()),
        ty: type_of(tensor),
        // What the importer could not take may have any size.
        bytes: elements(tensor).saturating_mul(element_bits(tensor.element)).div_ceil(8),
        scale: single.map(|(scale, _)| scale),
        zero_point: single.map(|(_, zero_point)| zero_point),
        labels: Vec::new(),
    }
}

fn element_bits(element: TensorType) -> u64 {
    element.bits().map_or(0, |bits| bits as u64)
}

/// The name in the model's signature.
fn name_of(model: &Model<'_>, index: usize, is_input: bool) -> Option<String> {
    let signature = model.signatures.iter().find(|signature| signature.subgraph == 0)?;
    let names = if is_input { &signature.inputs } else { &signature.outputs };
    names.iter().find(|(_, tensor)| *tensor == index).map(|(name, _)| name.clone())
}

fn node(
    model: &Model<'_>,
    main: &Subgraph<'_>,
    index: usize,
    operator: &Operator<'_>,
) -> NodeFacts {
    let outputs = || operator.outputs.iter().filter_map(|&i| main.tensors.get(i));
    let weights = inputs(main, operator).filter(|tensor| is_weight(tensor));
    NodeFacts {
        index,
        operator: operator_name(model, operator).to_owned(),
        name: outputs().next().map_or_else(String::new, |tensor| tensor.name.clone()),
        outputs: outputs().map(type_of).collect(),
        macs: None,
        parameters: weights.clone().map(elements).sum(),
        weight_bytes: weights.map(data_bytes).sum(),
    }
}

/// Kinglet's name of an operator it knows, else the file's.
fn operator_name<'m>(model: &'m Model<'_>, operator: &Operator<'_>) -> &'m str {
    let label = model.operator_codes.get(operator.code).map_or("?", |code| code.label());
    kinglet_ops::by_tflite_code(label).map_or(label, |(definition, _)| definition.name)
}

fn inputs<'a>(
    main: &'a Subgraph<'a>,
    operator: &'a Operator<'a>,
) -> impl Iterator<Item = &'a Tensor<'a>> + Clone {
    operator.inputs.iter().flatten().filter_map(|&i| main.tensors.get(i))
}

fn quantization(main: &Subgraph<'_>) -> QuantizationFacts {
    let mut facts = QuantizationFacts::default();
    for operator in &main.operators {
        let values = || inputs(main, operator).filter(|tensor| tensor.data.is_none());
        let outputs = || operator.outputs.iter().filter_map(|&i| main.tensors.get(i));
        facts.count(Kinds {
            float_in: values().any(|tensor| is_float(tensor.element)),
            integer_in: values().any(|tensor| !is_float(tensor.element)),
            float_out: outputs().any(|tensor| is_float(tensor.element)),
            integer_out: outputs().any(|tensor| !is_float(tensor.element)),
            integer_weights: inputs(main, operator)
                .any(|tensor| is_weight(tensor) && !is_float(tensor.element)),
        });
    }
    let small =
        |element| matches!(element, TensorType::Int4 | TensorType::Int8 | TensorType::UInt8);
    for tensor in main.tensors.iter().filter(|t| t.data.is_some() && small(t.element)) {
        if let Some(quantization) = tensor.quantization.as_ref().filter(|q| !q.scales.is_empty()) {
            facts.weight(quantization.scales.len());
        }
    }
    let values = || main.tensors.iter().filter(|tensor| tensor.data.is_none());
    let most = |float: bool| {
        let of_kind = || values().filter(move |tensor| is_float(tensor.element) == float);
        let count = |element| of_kind().filter(|tensor| tensor.element == element).count();
        of_kind().map(|tensor| tensor.element).max_by_key(|&element| count(element))
    };
    let half = main.tensors.iter().any(|t| t.data.is_some() && t.element == TensorType::Float16);
    let (integer, float) = (most(false), most(true));
    let (integer, float) = (integer.map(element_name), float.map(element_name));
    facts.name(integer.as_deref(), float.as_deref(), half);
    facts
}

fn states(main: &Subgraph<'_>) -> Vec<StateFacts> {
    let variables = main.tensors.iter().filter(|tensor| tensor.is_variable);
    variables
        .map(|tensor| StateFacts {
            name: tensor.name.clone(),
            ty: type_of(tensor),
            bytes: elements(tensor).saturating_mul(element_bits(tensor.element)).div_ceil(8),
        })
        .collect()
}

fn free_axes(model: &Model<'_>, main: &Subgraph<'_>) -> Vec<FreeAxis> {
    let mut axes = Vec::new();
    for (list, is_input) in [(&main.inputs, true), (&main.outputs, false)] {
        for &index in list {
            let Some(tensor) = main.tensors.get(index) else { continue };
            for (axis, &free) in tensor.shape_signature.iter().flatten().enumerate() {
                if free < 0 {
                    axes.push(FreeAxis {
                        tensor: name_of(model, index, is_input)
                            .unwrap_or_else(|| tensor.name.clone()),
                        axis,
                        value: tensor
                            .shape
                            .get(axis)
                            .and_then(|&dim| usize::try_from(dim).ok())
                            .unwrap_or(0),
                    });
                }
            }
        }
    }
    axes
}
