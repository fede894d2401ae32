//! Other people's models and arrays: all of them are read, and damaged ones never panic.

mod support;

use kinglet_formats::{npz, tflite};
use std::fs;

fn valid_models() -> Vec<(String, Vec<u8>)> {
    let Some(assets) = support::shared() else { return Vec::new() };
    let files = support::files(&assets.join("models"), "tflite");
    let valid =
        files.into_iter().filter(|path| !path.components().any(|c| c.as_os_str() == "invalid"));
    valid.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

#[test]
fn every_model_is_read_without_a_warning() {
    let models = valid_models();
    let mut nodes = 0;
    for (path, bytes) in &models {
        let model = tflite::read(bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(model.warnings.is_empty(), "{path}: {:?}", model.warnings);
        for subgraph in &model.subgraphs {
            nodes += subgraph.operators.len();
            for operator in &subgraph.operators {
                let code = &model.operator_codes[operator.code];
                assert!(!code.name.starts_with("BUILTIN"), "{path}: {}", code.name);
                let table = tflite::default_attributes(code.builtin).table;
                assert_eq!(operator.attributes.table, table, "{path}: {}", code.label());
            }
        }
    }
    println!("{} models, {nodes} nodes", models.len());
    assert!(models.is_empty() || models.len() > 200);
}

#[test]
fn every_case_is_read_and_written_back() {
    let Some(assets) = support::shared() else { return };
    let files = support::files(&assets.join("cases"), "npz");
    assert!(files.len() > 200);
    for path in files {
        let arrays = npz::read_npz(&fs::read(&path).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!arrays.is_empty(), "{}", path.display());
        let written = npz::write_npz(arrays.iter().map(|(n, a)| (n.as_str(), a))).unwrap();
        assert!(npz::read_npz(&written).unwrap() == arrays, "{}", path.display());
    }
}

#[test]
fn every_truncated_model_gives_a_diagnostic() {
    for (path, bytes) in valid_models() {
        for step in 0..50 {
            let len = bytes.len() * step / 50;
            match tflite::read(&bytes[..len]) {
                Err(failure) => {
                    let first = failure.first();
                    assert!(!first.places.is_empty() && first.help.is_some(), "{path}: {first:?}");
                }
                Ok(model) => {
                    assert!(!model.warnings.is_empty(), "{path} cut at {len} of {}", bytes.len())
                }
            }
        }
    }
}

#[test]
fn files_to_be_refused() {
    let Some(assets) = support::shared() else { return };
    let read = |name: &str| fs::read(assets.join("models/invalid").join(name)).unwrap();
    // The ONNX files are no TensorFlow Lite models; the rest have one structural fault each.
    for (name, code, what) in [
        ("bad_offset.tflite", "K0101", "2147483647"),
        ("empty.tflite", "K0102", "empty"),
        ("short_buffer.tflite", "K0109", "3 bytes"),
        ("tensor_index.tflite", "K0107", "9999"),
        ("truncated_kws.tflite", "K0101", "cut short"),
        ("wrong_magic.tflite", "K0106", "TFL9"),
        ("cycle.onnx", "K0104", "ONNX"),
        ("missing_tensor.onnx", "K0104", "ONNX"),
        ("external_data_escape.onnx", "K0104", "ONNX"),
        ("truncated.onnx", "K0104", "ONNX"),
    ] {
        let bytes = read(name);
        let failure = tflite::read(&bytes).expect_err(name);
        let first = failure.first();
        assert_eq!(first.code.as_str(), code, "{name}: {first}");
        assert!(first.message.contains(what), "{name}: {first}");
        assert!(!first.places.is_empty() && first.help.is_some(), "{name}: {first:?}");
    }
    // Structurally sound: their operators are for the importer to refuse, by name.
    for (name, custom) in [
        ("keras_lstm_mnist_ptq_edgetpu.tflite", Some("edgetpu-custom-op")),
        ("model_invoking_error.tflite", Some("fake-op-double")),
        ("person_detect_vela.tflite", Some("ethos-u")),
        ("split_concat_edgetpu.tflite", Some("edgetpu-custom-op")),
        ("op_cycle.tflite", None),
    ] {
        let bytes = read(name);
        let model = tflite::read(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found = model.operator_codes.iter().find_map(|c| c.custom.as_deref());
        assert_eq!(found, custom, "{name}");
    }
}

#[test]
fn labels_are_unpacked() {
    let Some(assets) = support::shared() else { return };
    let bytes = fs::read(assets.join("models/mobilenet_v1_0.25_128_quant.tflite")).unwrap();
    let model = tflite::read(&bytes).unwrap();
    assert_eq!(model.associated_files.len(), 1);
    let labels = &model.associated_files[0];
    assert_eq!((labels.name.as_str(), labels.data.len()), ("imagenet_labels.txt", 21686));
    assert!(labels.data.starts_with(b"background\ntench"));
}
