//! Other people's models against other people's runtimes, on the engines of this machine.

use kinglet::batch::{Batch, Numbers};
use kinglet::compare;
use kinglet::engine::{self, EngineName};
use kinglet::model::{Model, read_file};
use kinglet_formats::npz;
use kinglet_testkit::assets;
use kinglet_testkit::conform::{Verdict, cases_of, conform, conform_layers, models};
use std::path::Path;

/// Models of the microcontroller class whose operators are all supported: they must not be refused.
const SUPPORTED: &[&str] = &[
    "ad01_fp32",
    "ad01_int8",
    "digits_dscnn_f32",
    "digits_dscnn_int8",
    "digits_res_f16",
    "digits_res_int8",
    "digits_res_uint8io",
    "hello_world_float",
    "hello_world_int8",
    "kws_ref_model",
    "micro_speech_quantized",
    "model_ToyCar_quant_fullint",
    "mww_alexa_v2",
    "mww_choo_choo_homie_v2",
    "mww_hey_jarvis_v2",
    "mww_okay_nabu_v1",
    "mww_okay_nabu_v2",
    "mww_vad_v2",
    "person_detect",
    "pretrainedResnet",
    "pretrainedResnet_quant",
    "simple_add_model",
    "str_ww_ref_model",
    "vww_96_float",
    "vww_96_int8",
];

/// Models too large for the plain interpreter in a test without optimization.
const SLOW_ON_REFERENCE: usize = 1 << 20;

fn check(model: &Path, cases: &Path, engine: &EngineName) -> Result<(), String> {
    let name = model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match conform(model, cases, engine) {
        Ok(Verdict::Equal(_)) => Ok(()),
        Ok(Verdict::Different(found)) => Err(format!(
            "{name} on {engine}: {} differs from {} in {} of {} values, by {}",
            found.name, found.against, found.different, found.values, found.largest
        )),
        Err(failure) => {
            let must = SUPPORTED.contains(&name.as_str());
            if must {
                Err(format!("{name} on {engine}: refused: {}", failure.first()))
            } else {
                Ok(())
            }
        }
    }
}

fn run(wanted: impl Fn(&Path) -> bool, engines: &[EngineName]) {
    let Some(assets) = assets() else { return };
    let mut faults = Vec::new();
    let mut ran = 0;
    for model in models(&assets.join("models")).into_iter().filter(|model| wanted(model)) {
        let Some(cases) = cases_of(&assets, &model) else { continue };
        for engine in engines {
            ran += 1;
            faults.extend(check(&model, &cases, engine).err());
        }
    }
    assert!(faults.is_empty(), "{} of {ran}:\n{}", faults.len(), faults.join("\n"));
    assert!(ran > 0, "no model was found");
}

fn folder(model: &Path) -> &str {
    model.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default()
}

#[test]
fn tflm_07_single_operator_models_equal_the_goldens() {
    let engines = [EngineName::Reference, EngineName::Native];
    run(|model| matches!(folder(model), "ops8" | "seanet"), &engines);
}

#[test]
fn tflm_07_models_equal_the_goldens_on_native() {
    run(|model| folder(model) == "models", &[EngineName::Native]);
}

#[test]
fn tflm_07_small_models_equal_the_goldens_on_reference() {
    let small = |model: &Path| {
        let bytes = std::fs::metadata(model).map_or(0, |meta| meta.len());
        folder(model) == "models" && bytes < 64 << 10
    };
    run(small, &[EngineName::Reference]);
}

#[test]
fn every_intermediate_tensor_equals_the_golden() {
    let Some(assets) = assets() else { return };
    let mut faults = Vec::new();
    for name in SUPPORTED {
        let layers = assets.join(format!("cases/layers/{name}.npz"));
        let model = assets.join(format!("models/{name}.tflite"));
        if !layers.is_file() {
            continue;
        }
        let large =
            std::fs::metadata(&model).map_or(0, |meta| meta.len()) > SLOW_ON_REFERENCE as u64;
        let engines: &[EngineName] = if large {
            &[EngineName::Native]
        } else {
            &[EngineName::Native, EngineName::Reference]
        };
        for engine in engines {
            match conform_layers(&model, &layers, engine) {
                Ok(Verdict::Equal(values)) => assert!(values > 0, "{name}: nothing was compared"),
                Ok(Verdict::Different(found)) => {
                    faults.push(format!("{name} on {engine}: {} differs", found.name));
                }
                Err(failure) => faults.push(format!("{name} on {engine}: {}", failure.first())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn kws01_predictions_are_as_recorded() {
    let Some(assets) = assets() else { return };
    let model = Model::open(&assets.join("models/kws_ref_model.tflite")).expect("the model opens");
    let bytes = read_file(&assets.join("cases/kws01_accuracy.npz")).expect("the cases are read");
    let arrays = npz::read_npz(&bytes).expect("the cases are arrays");
    let batch = Batch::from_arrays(&arrays, &model.graph, Numbers::Raw).expect("the inputs fit");
    let output = engine::run(&model, &EngineName::Native, &batch, false).expect("it runs");
    let find = |key: &str| &arrays.iter().find(|(name, _)| name == key).expect("an array").1;
    let scores: Vec<i8> = output.outputs[0].iter().map(|&byte| byte as i8).collect();
    let predictions: Vec<f64> = scores
        .chunks_exact(12)
        .map(|row| {
            // The first of the greatest, as argmax does.
            let best = row.iter().max().expect("twelve classes");
            row.iter().position(|score| score == best).expect("one of them") as f64
        })
        .collect();
    assert_eq!(predictions, compare::to_f64(find("pred")));
    let labels = compare::to_f64(find("labels"));
    let right = predictions.iter().zip(&labels).filter(|(p, l)| p == l).count();
    assert_eq!(right, 901, "of 1000");
}

#[test]
fn a_model_cut_short_is_refused_at_every_length() {
    let Some(assets) = assets() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.tflite");
    for name in SUPPORTED {
        let bytes = read_file(&assets.join(format!("models/{name}.tflite"))).expect("a model");
        for k in 0..50 {
            let length = bytes.len() * k / 50;
            std::fs::write(&path, &bytes[..length]).expect("a file");
            let failure = Model::open(&path).expect_err("a part of a model is no model");
            assert!(failure.diagnostics().iter().all(|d| d.help.is_some()), "{name} at {length}");
        }
    }
}

#[test]
fn invalid_models_are_refused_or_described() {
    let Some(assets) = assets() else { return };
    for path in models(&assets.join("models/invalid")) {
        // The emptied tensor of model_invoking_error is legal for a reader; whatever opens must lower
        // or be refused, and nothing may panic.
        if let Ok(model) = Model::open(&path) {
            let host = kinglet_target::Target::host();
            let _ = model.program(&host, &kinglet_program::Options::default());
        }
    }
}

#[test]
fn the_projects_own_model_equals_its_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/machine_state");
    let (model, vectors) = (folder.join("machine_state.tflite"), folder.join("vectors.npz"));
    for engine in [EngineName::Reference, EngineName::Native] {
        let verdict = conform(&model, &vectors, &engine).expect("it runs");
        assert!(matches!(verdict, Verdict::Equal(_)), "{engine}: {verdict:?}");
    }
}
