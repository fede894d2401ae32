//! The reader on files written here: a lone clone tests it with nothing else at hand.

mod hostile;
mod packed;
mod write;

use super::schema::*;
use super::{QuantizationDetails, SparseDimension, TensorType, Value};
use kinglet_diag::{Code, code};
use write::T;

const CONV: &[usize] = &[0, 1, 2];

/// The pieces of a small model; a test changes one and writes the file.
#[derive(Clone)]
struct Parts {
    version: u32,
    codes: Vec<T>,
    buffers: Vec<T>,
    tensors: Vec<T>,
    operators: Vec<T>,
    inputs: Vec<i32>,
    outputs: Vec<i32>,
    more_subgraphs: Vec<T>,
    extra: T,
}

/// A convolution with per-channel int8 weights and a bias, then a ReLU without options.
fn parts() -> Parts {
    let per_channel =
        quantization(&[0.5, 0.25], &[0, 0]).scalar(quantization_parameters::QUANTIZED_DIMENSION, 0);
    Parts {
        version: 3,
        codes: vec![old_code(3).scalar(operator_code::VERSION, 2), old_code(19)],
        buffers: vec![T::default(), buffer(&[1, 2, 3, 255]), buffer(&[1, 0, 0, 0, 2, 0, 0, 0])],
        tensors: vec![
            tensor("image", &[1, 2, 2, 1], 9, 0)
                .child(tensor::QUANTIZATION, quantization(&[0.5], &[-1])),
            tensor("weights", &[2, 1, 1, 2], 9, 1).child(tensor::QUANTIZATION, per_channel),
            tensor("bias", &[2], 2, 2),
            tensor("features", &[1, 2, 2, 2], 9, 0),
            tensor("result", &[1, 2, 2, 2], 9, 0).vector(tensor::SHAPE_SIGNATURE, &[-1, 2, 2, 2]),
        ],
        operators: vec![
            operator(0, &[0, 1, 2], &[3]).choice(
                operator::BUILTIN_OPTIONS,
                "Conv2DOptions",
                T::default().slot(0, 1i8).slot(1, 2i32).slot(2, 3i32).slot(3, 1i8),
            ),
            operator(1, &[3], &[4]),
        ],
        inputs: vec![0],
        outputs: vec![4],
        more_subgraphs: Vec::new(),
        extra: T::default().text(model::DESCRIPTION, "made by a test"),
    }
}

impl Parts {
    fn file(&self) -> Vec<u8> {
        let main = T::default()
            .text(sub_graph::NAME, "main")
            .children(sub_graph::TENSORS, self.tensors.clone())
            .vector(sub_graph::INPUTS, &self.inputs)
            .vector(sub_graph::OUTPUTS, &self.outputs)
            .children(sub_graph::OPERATORS, self.operators.clone());
        let mut subgraphs = vec![main];
        subgraphs.extend(self.more_subgraphs.iter().cloned());
        self.extra
            .clone()
            .scalar(model::VERSION, self.version)
            .children(model::OPERATOR_CODES, self.codes.clone())
            .children(model::SUBGRAPHS, subgraphs)
            .children(model::BUFFERS, self.buffers.clone())
            .file("TFL3")
    }
}

fn old_code(builtin: i8) -> T {
    T::default().scalar(operator_code::DEPRECATED_BUILTIN_CODE, builtin)
}

fn new_code(builtin: i32) -> T {
    old_code(127).scalar(operator_code::BUILTIN_CODE, builtin)
}

fn buffer(bytes: &[u8]) -> T {
    T::default().vector(buffer::DATA, bytes)
}

fn tensor(name: &str, shape: &[i32], element: i8, buffer: u32) -> T {
    T::default()
        .text(tensor::NAME, name)
        .vector(tensor::SHAPE, shape)
        .scalar(tensor::TYPE, element)
        .scalar(tensor::BUFFER, buffer)
}

fn quantization(scales: &[f32], zero_points: &[i64]) -> T {
    T::default()
        .vector(quantization_parameters::SCALE, scales)
        .vector(quantization_parameters::ZERO_POINT, zero_points)
}

fn operator(code: u32, inputs: &[i32], outputs: &[i32]) -> T {
    T::default()
        .scalar(operator::OPCODE_INDEX, code)
        .vector(operator::INPUTS, inputs)
        .vector(operator::OUTPUTS, outputs)
}

/// Refused with this code, and the message or a place has these words; everything a diagnostic must
/// have is there.
#[track_caller]
fn refused(bytes: &[u8], code: Code, words: &[&str]) {
    let failure = super::read(bytes).expect_err("the file should be refused");
    let first = failure.first();
    assert_eq!(first.code, code, "{first}");
    for word in words {
        assert!(first.to_string().contains(word), "{word:?} is not in {first}");
    }
    assert!(first.to_string().contains("byte "), "no byte offset in {first}");
    assert!(first.help.is_some(), "no help in {first}");
}

#[test]
fn a_model_is_read_as_it_was_written() {
    let file = parts().file();
    let model = super::read(&file).unwrap();
    assert_eq!((model.version, model.description.as_str()), (3, "made by a test"));
    assert!(model.warnings.is_empty());
    let codes: Vec<_> =
        model.operator_codes.iter().map(|c| (c.builtin, c.label(), c.version)).collect();
    assert_eq!(codes, [(3, "CONV_2D", 2), (19, "RELU", 1)]);
    let [graph] = model.subgraphs.as_slice() else { panic!("one subgraph") };
    assert_eq!(
        (graph.name.as_str(), &graph.inputs[..], &graph.outputs[..]),
        ("main", &[0][..], &[4][..])
    );

    let [image, weights, bias, _, result] = graph.tensors.as_slice() else {
        panic!("five tensors")
    };
    assert_eq!((image.name.as_str(), image.element, image.data), ("image", TensorType::Int8, None));
    assert_eq!(image.quantization.as_ref().unwrap().zero_points, [-1]);
    assert_eq!(weights.data, Some(&[1, 2, 3, 255][..]));
    assert_eq!(weights.quantization.as_ref().unwrap().scales, [0.5, 0.25]);
    assert_eq!((bias.element, bias.data.unwrap().len()), (TensorType::Int32, 8));
    assert_eq!(result.shape_signature.as_deref(), Some(&[-1, 2, 2, 2][..]));
    // The data are the file's own bytes, not a copy.
    assert!(file.as_ptr_range().contains(&weights.data.unwrap().as_ptr()));

    let [conv, relu] = graph.operators.as_slice() else { panic!("two operators") };
    assert_eq!(conv.inputs.iter().flatten().copied().collect::<Vec<_>>(), CONV);
    assert_eq!((conv.code, &conv.outputs[..]), (0, &[3][..]));
    assert_eq!((relu.code, relu.attributes.table), (1, ""));
    // A table starts with its distance to the list of its fields, which is never far.
    let at = usize::try_from(conv.offset).unwrap();
    let distance = i32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert!((-200..200).contains(&distance), "{distance}");
}

#[test]
fn attributes_know_who_was_read() {
    let file = parts().file();
    let model = super::read(&file).unwrap();
    let attributes = &model.subgraphs[0].operators[0].attributes;
    assert_eq!(attributes.table, "Conv2DOptions");
    let unread = |expected: &[&str]| {
        let names: Vec<_> = attributes.unread().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected);
    };
    unread(&["padding", "stride_w", "stride_h", "fused_activation_function"]);
    assert_eq!(attributes.enum_name("padding").unwrap(), "VALID");
    assert_eq!(attributes.int("stride_w").unwrap(), 2);
    unread(&["stride_h", "fused_activation_function"]);
    assert_eq!(attributes.int("stride_h").unwrap(), 3);
    assert_eq!(attributes.enum_name("fused_activation_function").unwrap(), "RELU");
    unread(&[]);
    // Left out of the file: the schema's default.
    assert_eq!(attributes.int("dilation_w_factor").unwrap(), 1);
    assert_eq!(attributes.enum_name("quantized_bias_type").unwrap(), "FLOAT32");
    // Mistakes of the caller.
    assert_eq!(attributes.int("stride").unwrap_err().first().code, code::INTERNAL);
    assert_eq!(attributes.float("stride_w").unwrap_err().first().code, code::INTERNAL);
}

#[test]
fn an_operator_without_options_has_its_tables_defaults() {
    let mut parts = parts();
    parts.codes[1] = old_code(52);
    let file = parts.file();
    let attributes = &super::read(&file).unwrap().subgraphs[0].operators[1].attributes;
    assert_eq!((attributes.table, attributes.offset), ("BidirectionalSequenceLSTMOptions", None));
    assert!(attributes.bool("time_major").unwrap());
    assert!(attributes.unread().is_empty());
}

/// Builtin code, options table, operator code and options.
fn options() -> [(i32, &'static str, T, T); 7] {
    [
        (15, "LSHProjectionOptions", old_code(15), T::default().slot(0, 2i8)),
        (22, "ReshapeOptions", old_code(22), T::default().values(0, &[2i32, -1])),
        (25, "SoftmaxOptions", old_code(25), T::default().slot(0, 1.5f32)),
        (147, "BucketizeOptions", new_code(147), T::default().values(0, &[0.5f32, 1.0])),
        (148, "RandomOptions", new_code(148), T::default().slot(0, i64::MIN)),
        (142, "VarHandleOptions", new_code(142), T::default().string(1, "state")),
        (31, "CallOptions", old_code(31), T::default().slot(0, 0u32)),
    ]
}

/// One operator for each kind of attribute.
fn kinds() -> Parts {
    let mut parts = parts();
    let options = options();
    for (index, (_, table, code, value)) in options.iter().enumerate() {
        parts.codes.push(code.clone());
        let code = u32::try_from(index + 2).unwrap();
        parts.operators.push(operator(code, &[3, -1], &[4]).choice(
            operator::BUILTIN_OPTIONS,
            table,
            value.clone(),
        ));
    }
    parts.codes.push(new_code(171));
    parts.operators.push(operator(9, &[], &[]).choice(
        operator::BUILTIN_OPTIONS_2,
        "StablehloConvolutionOptions",
        T::default().values(4, &[true, false]).values(16, &[2u32]).slot(14, 7i64),
    ));
    parts.codes.push(new_code(206));
    parts.operators.push(operator(10, &[], &[]).choice(
        operator::BUILTIN_OPTIONS_2,
        "StableHLOCompositeOptions",
        T::default().values(2, &[9u8, 8]),
    ));
    parts
}

#[test]
fn every_kind_of_attribute_is_read() {
    let options = options();
    let file = kinds().file();
    let model = super::read(&file).unwrap();
    for ((builtin, table, ..), code) in options.iter().zip(&model.operator_codes[2..]) {
        assert_eq!(code.builtin, *builtin);
        assert_eq!(super::default_attributes(*builtin).table, *table);
    }
    let node = |index: usize| &model.subgraphs[0].operators[index + 2].attributes;
    assert_eq!(node(0).enum_name("type").unwrap(), "DENSE");
    assert_eq!(node(1).ints("new_shape").unwrap(), [2, -1]);
    assert_eq!(node(2).float("beta").unwrap(), 1.5);
    assert_eq!(node(3).floats("boundaries").unwrap(), [0.5, 1.0]);
    assert_eq!(node(4).int("seed").unwrap(), i64::MIN);
    assert_eq!(node(5).text("shared_name").unwrap(), "state");
    assert_eq!(node(5).text("container").unwrap(), "");
    assert_eq!(node(6).int("subgraph").unwrap(), 0);
    assert_eq!(node(7).bools("window_reversal").unwrap(), [true, false]);
    assert_eq!(node(7).ints("precision_config").unwrap(), [2]);
    assert_eq!(node(7).int("feature_group_count").unwrap(), 7);
    assert_eq!(node(8).bytes("composite_attributes").unwrap(), [9, 8]);
    assert_eq!(model.subgraphs[0].operators[2].inputs, [Some(3), None]);
}

#[test]
fn the_larger_operator_code_counts() {
    let mut parts = parts();
    parts.codes.extend([
        new_code(128),
        T::default().scalar(operator_code::BUILTIN_CODE, 9),
        new_code(250),
        old_code(32).text(operator_code::CUSTOM_CODE, "my-op"),
        old_code(9).text(operator_code::CUSTOM_CODE, "ignored"),
    ]);
    let file = parts.file();
    let model = super::read(&file).unwrap();
    let labels: Vec<_> = model.operator_codes[2..].iter().map(|c| c.label()).collect();
    assert_eq!(labels, ["CUMSUM", "FULLY_CONNECTED", "BUILTIN_250", "my-op", "FULLY_CONNECTED"]);
    assert_eq!(model.operator_codes[5].name, "CUSTOM");
}

#[test]
fn every_operator_has_a_name_and_a_code() {
    assert_eq!(OPERATORS.len(), 210);
    for (index, (code, name, table)) in OPERATORS.iter().enumerate() {
        assert_eq!(usize::try_from(*code).unwrap(), index, "codes have no gaps");
        assert_eq!(super::operator_name(*code), Some(*name));
        assert_eq!(super::operator_code(name), Some(*code));
        assert_eq!(super::default_attributes(*code).table, table.map_or("", |t| t.name));
    }
    assert_eq!(super::operator_name(210), None);
    assert_eq!(super::operator_code("NOT_AN_OPERATOR"), None);
    // Tags at the start, in the middle and at the end of the unions, as published.
    let tag = |union: &[&TableInfo], name| union.iter().position(|t| t.name == name).unwrap() + 1;
    assert_eq!((BUILTIN_OPTIONS.len(), BUILTIN_OPTIONS2.len()), (126, 23));
    assert_eq!(tag(BUILTIN_OPTIONS, "Conv2DOptions"), 1);
    assert_eq!(tag(BUILTIN_OPTIONS, "AddOptions"), 11);
    assert_eq!(tag(BUILTIN_OPTIONS, "BidirectionalSequenceLSTMOptions"), 69);
    assert_eq!(tag(BUILTIN_OPTIONS, "VarHandleOptions"), 111);
    assert_eq!(tag(BUILTIN_OPTIONS, "RightShiftOptions"), 126);
    assert_eq!(tag(BUILTIN_OPTIONS2, "StableHLOCompositeOptions"), 21);
}

#[test]
fn fields_newer_than_the_schema_are_seen() {
    let mut parts = parts();
    parts.operators[0] = operator(0, &[0, 1, 2], &[3]).choice(
        operator::BUILTIN_OPTIONS,
        "Conv2DOptions",
        T::default().slot(1, 1i32).slot(2, 1i32).slot(9, 5i32),
    );
    parts.tensors[0] = parts.tensors[0].clone().slot(14, 1i32);
    parts.tensors[2] = parts.tensors[2].clone().slot(14, 1i32);
    let file = parts.file();
    let model = super::read(&file).unwrap();
    let attributes = &model.subgraphs[0].operators[0].attributes;
    assert!(attributes.unread().contains(&("field_9", &Value::Unknown)));
    let [warning] = model.warnings.as_slice() else { panic!("one warning for the kind of table") };
    assert_eq!(warning.code, code::TFLITE_NEWER_FIELD);
    assert!(warning.message.contains("Tensor has field 14"), "{warning}");
}

#[test]
fn more_unknown_options_than_can_be_counted_are_still_seen() {
    let mut parts = parts();
    let options = (7..200).fold(T::default(), |options, slot| options.slot(slot, 1i8));
    parts.operators[0] =
        operator(0, &[0, 1, 2], &[3]).choice(operator::BUILTIN_OPTIONS, "Conv2DOptions", options);
    let file = parts.file();
    let attributes = &super::read(&file).unwrap().subgraphs[0].operators[0].attributes;
    assert_eq!(attributes.unread().len(), 57);
    for attribute in attributes.iter() {
        attributes.value(&attribute.name).unwrap();
    }
    assert!(attributes.unread().is_empty());
}

#[test]
fn values_beyond_the_schema_are_errors() {
    let mut odd = parts();
    odd.tensors[0] = tensor("image", &[1], 99, 0);
    refused(&odd.file(), code::TFLITE_UNKNOWN_VALUE, &["99", "image"]);

    let mut odd = parts();
    odd.operators[0] = operator(0, &[0], &[3]).tagged(operator::BUILTIN_OPTIONS, 200, T::default());
    refused(&odd.file(), code::TFLITE_UNKNOWN_VALUE, &["200", "node 0 CONV_2D"]);

    let mut odd = parts();
    odd.operators[0] = operator(0, &[0], &[3]).choice(
        operator::BUILTIN_OPTIONS,
        "Conv2DOptions",
        T::default().slot(0, 7i8),
    );
    let file = odd.file();
    let attributes = &super::read(&file).unwrap().subgraphs[0].operators[0].attributes;
    assert_eq!(
        attributes.value("padding").unwrap(),
        &Value::Enum { kind: "Padding", name: None, value: 7 }
    );
    let failure = attributes.enum_name("padding").unwrap_err();
    assert_eq!(failure.first().code, code::TFLITE_UNKNOWN_VALUE);

    refused(&Parts { version: 2, ..parts() }.file(), code::TFLITE_VERSION, &["version 2"]);
}

#[test]
fn options_must_be_the_operators_own() {
    let with = |options: T| {
        let mut parts = parts();
        parts.operators[1] =
            operator(1, &[3], &[4]).choice(operator::BUILTIN_OPTIONS, "SoftmaxOptions", options);
        parts.file()
    };
    refused(
        &with(T::default().slot(0, 2.0f32)),
        code::TFLITE_WRONG_OPTIONS,
        &["SoftmaxOptions", "node 1 RELU"],
    );
    // Empty options of another operator say nothing.
    let file = with(T::default());
    assert_eq!(super::read(&file).unwrap().subgraphs[0].operators[1].attributes.table, "");
}

#[test]
fn quantization_must_fit_its_tensor() {
    let with = |shape: &[i32], q: T| {
        let mut parts = parts();
        parts.tensors[0] = tensor("image", shape, 9, 0).child(tensor::QUANTIZATION, q);
        parts.file()
    };
    refused(
        &with(&[2], quantization(&[1.0, 1.0], &[0])),
        code::TFLITE_QUANTIZATION,
        &["2 scales and 1 zero", "image"],
    );
    refused(
        &with(&[2, 3], quantization(&[1.0; 3], &[0; 3])),
        code::TFLITE_QUANTIZATION,
        &["3 scales", "dimension 0"],
    );
    let along = |d| {
        quantization(&[1.0; 3], &[0; 3]).scalar(quantization_parameters::QUANTIZED_DIMENSION, d)
    };
    refused(&with(&[2, 3], along(-1)), code::TFLITE_QUANTIZATION, &["dimension -1"]);
    refused(&with(&[2, 3], along(2)), code::TFLITE_QUANTIZATION, &["dimension 2"]);
    let quantized_dimension = |file: &[u8]| {
        super::read(file).unwrap().subgraphs[0].tensors[0]
            .quantization
            .as_ref()
            .unwrap()
            .quantized_dimension
    };
    assert_eq!(quantized_dimension(&with(&[2, 3], along(1))), 1);
    // A bias of old converters: one dimension, and the filter's quantized dimension.
    assert_eq!(quantized_dimension(&with(&[3], along(3))), 0);
}

#[test]
fn other_quantization_schemes_are_told_apart() {
    let with = |kind: &str, details: T| {
        let mut parts = parts();
        let q = T::default().choice(quantization_parameters::DETAILS, kind, details);
        parts.tensors[0] = tensor("image", &[2], 9, 0).child(tensor::QUANTIZATION, q);
        parts.file()
    };
    let check = |file: &[u8], expected: QuantizationDetails<'_>| {
        let model = super::read(file).unwrap();
        let quantization = model.subgraphs[0].tensors[0].quantization.as_ref().unwrap();
        assert_eq!(quantization.details.as_ref(), Some(&expected));
    };
    let custom = T::default().vector(custom_quantization::CUSTOM, &[7]);
    check(&with("CustomQuantization", custom), QuantizationDetails::Custom(&[7]));
    let numbers = T::default().slot(0, 3i32).slot(1, -1i32).slot(2, 32i32);
    check(
        &with("BlockwiseQuantization", numbers.clone()),
        QuantizationDetails::Blockwise { scales: 3, zero_points: -1, block_size: 32 },
    );
    check(
        &with("MultiAxisQuantization", numbers.values(3, &[0i32, 1])),
        QuantizationDetails::MultiAxis {
            scales: 3,
            zero_points: -1,
            block_size: 32,
            dimensions: vec![0, 1],
        },
    );
}

/// A sparse tensor and a variant.
fn sparse() -> Parts {
    let dense = T::default().scalar(dimension_metadata::DENSE_SIZE, 2);
    let sparse = T::default()
        .scalar(dimension_metadata::FORMAT, 1)
        .choice(
            dimension_metadata::ARRAY_SEGMENTS,
            "Uint8Vector",
            T::default().values(0, &[0u8, 1, 200]),
        )
        .choice(dimension_metadata::ARRAY_INDICES, "Uint16Vector", T::default().values(0, &[3u16]));
    let sparsity = T::default()
        .vector(sparsity_parameters::TRAVERSAL_ORDER, &[0, 1])
        .children(sparsity_parameters::DIM_METADATA, vec![dense, sparse]);
    let mut parts = parts();
    // One stored byte for sixteen elements.
    parts.buffers.push(buffer(&[5]));
    parts.tensors.push(tensor("sparse", &[2, 8], 9, 3).child(tensor::SPARSITY, sparsity));
    let inner =
        T::default().vector(variant_sub_type::SHAPE, &[4]).scalar(variant_sub_type::TYPE, 9);
    parts.tensors.push(tensor("list", &[], 14, 0).children(tensor::VARIANT_TENSORS, vec![inner]));
    parts
}

#[test]
fn sparse_tensors_and_variants_are_described() {
    let file = sparse().file();
    let model = super::read(&file).unwrap();
    let tensors = &model.subgraphs[0].tensors;
    let sparsity = tensors[5].sparsity.as_ref().unwrap();
    assert_eq!(sparsity.traversal_order, [0, 1]);
    assert_eq!(
        sparsity.dimensions,
        [
            SparseDimension::Dense { size: 2 },
            SparseDimension::Compressed { segments: vec![0, 1, 200], indices: vec![3] }
        ]
    );
    assert_eq!(tensors[5].data, Some(&[5][..]));
    assert_eq!(
        (tensors[6].element, tensors[6].variants[0].element),
        (TensorType::Variant, TensorType::Int8)
    );
}

/// Not a test: writes small models for the fuzzer to start from.
#[test]
#[ignore = "writes files into the repository"]
fn write_fuzz_seeds() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/tflite_reader");
    for (name, file) in [
        ("conv.tflite", parts().file()),
        ("kinds.tflite", kinds().file()),
        ("sparse.tflite", sparse().file()),
        ("labels.tflite", packed::labelled()),
    ] {
        std::fs::write(folder.join(name), file).unwrap();
    }
}
