//! Metadata and the files packed behind a model.

use super::*;
use crate::tflite::schema::metadata as entry;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The metadata that names labels for the output.
fn info() -> T {
    let labels = T::default()
        .text(associated_file::NAME, "labels.txt")
        .text(associated_file::DESCRIPTION, "one a line")
        .scalar(associated_file::TYPE, 2);
    let normalization = T::default()
        .vector(normalization_options::MEAN, &[127.5])
        .vector(normalization_options::STD, &[128.0]);
    let input = T::default()
        .text(tensor_metadata::NAME, "image")
        .texts(tensor_metadata::DIMENSION_NAMES, &["batch", "y"])
        .children(
            tensor_metadata::PROCESS_UNITS,
            vec![T::default().choice(process_unit::OPTIONS, "NormalizationOptions", normalization)],
        )
        .child(
            tensor_metadata::STATS,
            T::default().vector(stats::MAX, &[1.0]).vector(stats::MIN, &[-1.0]),
        );
    let output = T::default()
        .text(tensor_metadata::NAME, "class")
        .children(tensor_metadata::ASSOCIATED_FILES, vec![labels]);
    let graph = T::default()
        .text(sub_graph_metadata::NAME, "main")
        .children(sub_graph_metadata::INPUT_TENSOR_METADATA, vec![input])
        .children(sub_graph_metadata::OUTPUT_TENSOR_METADATA, vec![output]);
    T::default()
        .text(model_metadata::NAME, "Classifier")
        .text(model_metadata::DESCRIPTION, "Tells things apart")
        .text(model_metadata::LICENSE, "MIT")
        .children(model_metadata::SUBGRAPH_METADATA, vec![graph])
}

fn with_metadata(content: &[u8]) -> Vec<u8> {
    let mut parts = parts();
    parts.buffers.push(buffer(content));
    let note = T::default().text(entry::NAME, "TFLITE_METADATA").scalar(entry::BUFFER, 3);
    let other = T::default().text(entry::NAME, "min_runtime_version").scalar(entry::BUFFER, 0);
    parts.extra = T::default().children(model::METADATA, vec![other, note]);
    parts.file()
}

fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A model with metadata and labels.
pub fn labelled() -> Vec<u8> {
    let mut file = with_metadata(&info().file("M001"));
    file.extend(packed(&[("labels.txt", b"cat\ndog\n")]));
    file
}

#[test]
fn names_and_labels_are_read() {
    let file = labelled();
    let model = super::super::read(&file).unwrap();
    assert!(model.warnings.is_empty(), "{:?}", model.warnings);
    assert_eq!(model.metadata[0], ("min_runtime_version".to_owned(), &[][..]));
    let info = model.info.unwrap();
    assert_eq!((info.name.as_str(), info.license.as_str()), ("Classifier", "MIT"));
    let [graph] = info.subgraphs.as_slice() else { panic!("one subgraph") };
    assert_eq!(graph.inputs[0].dimension_names, ["batch", "y"]);
    assert_eq!((&graph.inputs[0].mean[..], &graph.inputs[0].std[..]), (&[127.5][..], &[128.0][..]));
    assert_eq!((&graph.inputs[0].min[..], &graph.inputs[0].max[..]), (&[-1.0][..], &[1.0][..]));
    assert_eq!(graph.outputs[0].files[0].kind, "TENSOR_AXIS_LABELS");
    assert_eq!(model.associated_files.len(), 1);
    assert_eq!(model.associated_files[0].data, b"cat\ndog\n");
}

#[test]
fn labels_that_are_missing_are_a_warning() {
    let mut file = labelled();
    file.pop();
    let model = super::super::read(&file).unwrap();
    let [warning] = model.warnings.as_slice() else { panic!("{:?}", model.warnings) };
    assert_eq!(warning.code, code::TFLITE_ASSOCIATED_FILE);
    assert!(warning.message.contains("labels.txt"));
}

#[test]
fn a_packed_file_that_is_too_large_is_a_warning() {
    let mut file = parts().file();
    file.extend(packed(&[("bomb", &vec![0; (8 << 20) + 1]), ("small", b"ok")]));
    assert!(file.len() < 1 << 20);
    let model = super::super::read(&file).unwrap();
    assert_eq!(model.associated_files.len(), 1);
    assert_eq!(model.warnings[0].code, code::TFLITE_ASSOCIATED_FILE);
    assert!(model.warnings[0].message.contains("bomb"), "{:?}", model.warnings);
}

#[test]
fn metadata_that_cannot_be_read_is_a_warning() {
    let whole = info().file("M001");
    for bytes in [info().file("M002"), whole[..whole.len() / 2].to_vec(), vec![1, 2, 3]] {
        let file = with_metadata(&bytes);
        let model = super::super::read(&file).unwrap();
        assert!(model.info.is_none());
        let [warning] = model.warnings.as_slice() else { panic!("{:?}", model.warnings) };
        assert_eq!(warning.code, code::TFLITE_METADATA);
        assert!(!warning.places.is_empty());
    }
}
