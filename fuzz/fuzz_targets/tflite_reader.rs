//! Any bytes as a TensorFlow Lite model: a record or a diagnostic, never a panic, and a record keeps
//! what its documentation promises.
#![no_main]

use kinglet_formats::tflite::{self, Model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match tflite::read(bytes) {
        Ok(model) => check(&model),
        Err(failure) => {
            for diagnostic in failure.diagnostics() {
                assert!(!diagnostic.places.is_empty(), "no place: {diagnostic}");
                assert!(diagnostic.help.is_some(), "no help: {diagnostic}");
            }
        }
    }
});

fn check(model: &Model<'_>) {
    assert_eq!(model.version, 3);
    assert!(!model.subgraphs.is_empty());
    for graph in &model.subgraphs {
        let tensors = graph.tensors.len();
        assert!(graph.inputs.iter().chain(&graph.outputs).all(|index| *index < tensors));
        for tensor in &graph.tensors {
            let lowest = if tensor.data.is_some() && tensor.sparsity.is_none() { 0 } else { -1 };
            assert!(tensor.shape.iter().all(|dimension| *dimension >= lowest));
            if let (Some(data), None, Some(bits)) =
                (tensor.data, &tensor.sparsity, tensor.element.bits())
            {
                let elements: i32 = tensor.shape.iter().product();
                assert_eq!(data.len(), (elements as usize * bits).div_ceil(8));
            }
            if let Some(quantization) = &tensor.quantization {
                assert_eq!(quantization.scales.len(), quantization.zero_points.len());
                if quantization.scales.len() > 1 {
                    let size = tensor.shape[quantization.quantized_dimension as usize];
                    assert_eq!(size as usize, quantization.scales.len());
                }
            }
        }
        for node in &graph.operators {
            let code = &model.operator_codes[node.code];
            assert!(node.inputs.iter().flatten().chain(&node.outputs).all(|i| *i < tensors));
            assert!(node.intermediates.iter().all(|index| *index < tensors));
            if tflite::operator_name(code.builtin).is_some() {
                let table = tflite::default_attributes(code.builtin).table;
                assert_eq!(node.attributes.table, table);
            }
            for attribute in node.attributes.iter() {
                let _ = node.attributes.value(&attribute.name);
            }
            assert!(node.attributes.unread().is_empty());
        }
    }
    for signature in &model.signatures {
        let tensors = model.subgraphs[signature.subgraph].tensors.len();
        let named = signature.inputs.iter().chain(&signature.outputs);
        assert!(named.into_iter().all(|(_, index)| *index < tensors));
    }
}
