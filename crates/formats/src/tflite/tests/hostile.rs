//! Indices that lead nowhere, sizes that do not fit, bombs, noise.

use super::*;
use proptest::prelude::*;

#[test]
fn indices_must_lead_somewhere() {
    let file = |change: &dyn Fn(&mut Parts)| {
        let mut parts = parts();
        change(&mut parts);
        parts.file()
    };
    let bad = |change: &dyn Fn(&mut Parts), words: &[&str]| {
        refused(&file(change), code::TFLITE_BAD_INDEX, words);
    };
    bad(&|p| p.operators[0] = operator(0, &[0, 9999], &[3]), &["tensor 9999", "node 0 CONV_2D"]);
    bad(&|p| p.operators[0] = operator(0, &[0, -2], &[3]), &["tensor -2", "node 0 CONV_2D"]);
    bad(&|p| p.operators[1] = operator(1, &[0], &[-1]), &["tensor -1", "node 1 RELU"]);
    bad(&|p| p.operators[1] = operator(1, &[0], &[5]), &["tensor 5 is named, the file has 5"]);
    bad(&|p| p.operators[0] = operator(7, &[0], &[3]), &["operator code 7", "node 0"]);
    bad(
        &|p| p.operators[0] = operator(0, &[0], &[3]).vector(operator::INTERMEDIATES, &[6]),
        &["tensor 6"],
    );
    bad(
        &|p| {
            p.operators[0] =
                operator(0, &[0], &[3]).vector(operator::MUTATING_VARIABLE_INPUTS, &[true, false])
        },
        &["2 entries for 1 inputs"],
    );
    bad(&|p| p.inputs = vec![-1], &["tensor -1", "inputs of subgraph \"main\""]);
    bad(&|p| p.outputs = vec![5], &["tensor 5", "outputs of subgraph"]);
    bad(&|p| p.tensors[1] = tensor("weights", &[4], 9, 3), &["buffer 3", "weights"]);
    let entry = |buffer| T::default().text(metadata::NAME, "note").scalar(metadata::BUFFER, buffer);
    bad(
        &|p| p.extra = T::default().children(model::METADATA, vec![entry(7)]),
        &["buffer 7", "note"],
    );
    let signature = |subgraph: u32, index: u32| {
        let map = T::default().text(tensor_map::NAME, "x").scalar(tensor_map::TENSOR_INDEX, index);
        T::default().children(
            model::SIGNATURE_DEFS,
            vec![
                T::default()
                    .text(signature_def::SIGNATURE_KEY, "serve")
                    .scalar(signature_def::SUBGRAPH_INDEX, subgraph)
                    .children(signature_def::INPUTS, vec![map]),
            ],
        )
    };
    bad(&|p| p.extra = signature(1, 0), &["subgraph 1", "serve"]);
    bad(&|p| p.extra = signature(0, 5), &["tensor 5", "serve"]);
    let calling = |p: &mut Parts, subgraph: i32| {
        p.codes[1] = old_code(119);
        p.operators[1] = operator(1, &[3], &[4]).choice(
            operator::BUILTIN_OPTIONS,
            "WhileOptions",
            T::default().slot(1, subgraph),
        );
    };
    bad(&|p| calling(p, 1), &["subgraph 1", "WhileOptions.body_subgraph_index", "node 1 WHILE"]);
    bad(&|p| calling(p, -1), &["subgraph -1"]);
    let no_subgraph = T::default().scalar(model::VERSION, 3).file("TFL3");
    refused(&no_subgraph, code::TFLITE_BAD_INDEX, &["no subgraph"]);

    let ok = file(&|p| {
        calling(p, 1);
        p.more_subgraphs.push(T::default());
        p.extra = signature(0, 4);
    });
    let model = crate::tflite::read(&ok).unwrap();
    assert_eq!(model.signatures[0].key, "serve");
    assert_eq!(model.signatures[0].inputs, [("x".to_owned(), 4)]);
}

#[test]
fn shapes_and_data_must_agree() {
    let file = |shape: &[i32], element, data: &[u8]| {
        let mut parts = parts();
        parts.buffers.push(buffer(data));
        parts.tensors[1] = tensor("weights", shape, element, 3);
        parts.file()
    };
    refused(
        &file(&[2, 2], 9, &[0; 3]),
        code::TFLITE_DATA_SIZE,
        &["3 bytes", "asks for 4", "weights"],
    );
    refused(&file(&[2, 2], 0, &[0; 17]), code::TFLITE_DATA_SIZE, &["17 bytes", "asks for 16"]);
    refused(&file(&[3], 17, &[0; 1]), code::TFLITE_DATA_SIZE, &["1 bytes", "INT4", "asks for 2"]);
    refused(&file(&[-1], 9, &[0; 1]), code::TFLITE_BAD_SHAPE, &["dimension -1"]);
    refused(&file(&[-2], 9, &[]), code::TFLITE_BAD_SHAPE, &["dimension -2"]);
    refused(&file(&[i32::MAX; 3], 9, &[]), code::TFLITE_BAD_SHAPE, &["larger than any memory"]);
    // 2^62 elements of 16 bytes.
    refused(
        &file(&[1 << 30, 1 << 30, 4], 11, &[]),
        code::TFLITE_BAD_SHAPE,
        &["larger than any memory"],
    );
    for (shape, element, data) in [
        (&[3][..], 17, &[0; 2][..]),
        (&[5], 19, &[0; 2]),
        (&[], 2, &[0; 4]),
        (&[0, 7], 9, &[]),
        (&[-1, 7], 9, &[]),
        // Strings have the size they have.
        (&[2], 5, &[0; 11]),
    ] {
        let bytes = file(shape, element, data);
        let model = crate::tflite::read(&bytes).unwrap();
        assert_eq!(model.subgraphs[0].tensors[1].data.unwrap_or_default(), data, "{shape:?}");
    }
    let mut external = parts();
    external.tensors[1] = tensor("weights", &[4], 9, 0).scalar(tensor::EXTERNAL_BUFFER, 1);
    refused(&external.file(), code::TFLITE_EXTERNAL, &["another file", "weights"]);
}

#[test]
fn data_may_stand_behind_the_flatbuffer() {
    let file = |at: u64, size: u64| {
        let mut parts = parts();
        parts.buffers[1] = T::default().scalar(buffer::OFFSET, at).scalar(buffer::SIZE, size);
        parts.codes.push(old_code(32).text(operator_code::CUSTOM_CODE, "big"));
        parts.operators.push(
            operator(2, &[], &[])
                .scalar(operator::LARGE_CUSTOM_OPTIONS_OFFSET, at)
                .scalar(operator::LARGE_CUSTOM_OPTIONS_SIZE, size),
        );
        parts.file()
    };
    let len = u64::try_from(file(2, 4).len()).unwrap();
    let mut bytes = file(len, 4);
    bytes.extend([4, 3, 2, 1]);
    let model = crate::tflite::read(&bytes).unwrap();
    assert_eq!(model.subgraphs[0].tensors[1].data, Some(&[4, 3, 2, 1][..]));
    assert_eq!(model.subgraphs[0].operators[2].custom_options, Some(&[4, 3, 2, 1][..]));
    bytes.pop();
    refused(&bytes, code::TFLITE_TRUNCATED, &["4 bytes of data"]);
    refused(&file(u64::MAX, u64::MAX), code::TFLITE_TRUNCATED, &["outside"]);
    // Offsets of 0 and 1 mean that there is nothing.
    assert_eq!(crate::tflite::read(&file(1, 4)).unwrap().subgraphs[0].tensors[1].data, None);
}

#[test]
fn one_tensor_named_a_million_times_does_not_fill_the_memory() {
    let long = tensor(&"x".repeat(10_000), &[1], 9, 0);
    let subgraph = T::default().repeated(sub_graph::TENSORS, long, 1_000_000);
    let file = T::default()
        .scalar(model::VERSION, 3)
        .children(model::BUFFERS, vec![T::default()])
        .children(model::SUBGRAPHS, vec![subgraph])
        .file("TFL3");
    refused(&file, code::TFLITE_TOO_COMPLEX, &["far more"]);
    // Nested: subgraphs named many times, each with operators named many times.
    let options = T::default().slot(1, 1i32);
    let node = operator(0, &[0], &[0]).choice(operator::BUILTIN_OPTIONS, "Conv2DOptions", options);
    let subgraph = T::default()
        .children(sub_graph::TENSORS, vec![tensor("t", &[1], 9, 0)])
        .repeated(sub_graph::OPERATORS, node, 10_000);
    let file = T::default()
        .scalar(model::VERSION, 3)
        .children(model::OPERATOR_CODES, vec![old_code(3)])
        .repeated(model::SUBGRAPHS, subgraph, 10_000)
        .file("TFL3");
    refused(&file, code::TFLITE_TOO_COMPLEX, &["far more"]);
}

#[test]
fn every_cut_of_a_model_is_refused() {
    let bytes = parts().file();
    for len in 0..bytes.len() {
        let rest = &bytes[len..];
        match crate::tflite::read(&bytes[..len]) {
            Err(failure) => assert!(failure.first().help.is_some()),
            // Zeros that only fill up the last word carry nothing.
            Ok(_) => assert!(rest.len() < 4 && rest.iter().all(|b| *b == 0), "{len} bytes"),
        }
    }
}

proptest! {
    /// Any number of changed bytes gives a model or a diagnostic, and a model is safe to walk.
    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24)) {
        let mut bytes = parts().file();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(model) = crate::tflite::read(&bytes) {
            for graph in &model.subgraphs {
                for node in &graph.operators {
                    let _ = model.operator_codes[node.code].label();
                    for index in node.inputs.iter().flatten().chain(&node.outputs).chain(&graph.inputs) {
                        let _ = &graph.tensors[*index];
                    }
                    let _ = node.attributes.unread();
                }
            }
        }
    }

    #[test]
    fn noise_never_panics(tail in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut bytes = vec![8, 0, 0, 0];
        bytes.extend(b"TFL3");
        bytes.extend(tail);
        let _ = crate::tflite::read(&bytes);
    }
}
