//! `run`, `verify`, `compile` and `explain` as a user meets them: exit status, messages, files.

use kinglet_formats::npz::{self, Array};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/machine_state/machine_state.tflite");
const VECTORS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/machine_state/vectors.npz");

fn kinglet(folder: &Path, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_kinglet");
    Command::new(program).args(args).current_dir(folder).output().expect("kinglet starts")
}

/// Runs a command that must fail with this status and code, and gives its message.
fn fails(folder: &Path, args: &[&str], status: i32, code: &str) -> String {
    let output = kinglet(folder, args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {message}");
    assert!(message.contains(code), "{args:?} should say {code}: {message}");
    assert!(message.contains("help: "), "{args:?} gives no help: {message}");
    // The same failure for a program: one object on standard output.
    let mut json = args.to_vec();
    json.push("--json");
    let output = kinglet(folder, &json);
    let value: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("one JSON object on standard output");
    assert_eq!(value["schema"], "kinglet.error/1");
    assert_eq!(value["exit_code"], status);
    assert_eq!(value["errors"][0]["code"], code);
    message
}

fn save(path: PathBuf, arrays: &[(&str, Array)]) -> String {
    let bytes = npz::write_npz(arrays.iter().map(|(name, array)| (*name, array))).expect("arrays");
    std::fs::write(&path, bytes).expect("a file");
    path.display().to_string()
}

fn input_shape(cases: usize) -> (Vec<usize>, usize) {
    (vec![cases, 1, 512, 1, 3], cases * 512 * 3)
}

#[test]
fn run_writes_outputs_with_the_inputs_leading_axes() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = kinglet(
        folder.path(),
        &["run", MODEL, "--input", VECTORS, "--output", "y.npz", "--tensors", "--json"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["schema"], "kinglet.run/1");
    assert_eq!(value["cases"], 40);
    let bytes = std::fs::read(folder.path().join("y.npz")).expect("the output");
    let arrays = npz::read_npz(&bytes).expect("arrays");
    let golden = npz::read_npz(&std::fs::read(VECTORS).expect("vectors")).expect("arrays");
    let find = |list: &[(String, Array)], key: &str| {
        list.iter().find(|(name, _)| name == key).map(|(_, array)| array.clone()).expect("an array")
    };
    assert_eq!(find(&arrays, "out0"), find(&golden, "out0"));
    assert!(arrays.iter().any(|(name, _)| name.starts_with('t')), "--tensors adds tK");
}

#[test]
fn run_refuses_what_does_not_fit_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let run = |input: &str, status, code| {
        let message =
            fails(here, &["run", MODEL, "--input", input, "--output", "y.npz"], status, code);
        assert!(!here.join("y.npz").exists(), "nothing is written");
        message
    };
    run("missing.npz", 2, "K0801");
    let (shape, len) = input_shape(1);
    let reals = Array::from_elements(shape.clone(), &vec![0f32; len]).expect("an array");
    let message = run(&save(here.join("f.npz"), &[("in0", reals)]), 2, "K0804");
    assert!(message.contains("--real"), "{message}");
    let small = Array::from_elements(vec![1, 2, 3], &[0i8; 6]).expect("an array");
    run(&save(here.join("s.npz"), &[("in0", small.clone())]), 2, "K0803");
    run(&save(here.join("n.npz"), &[("other", small)]), 2, "K0802");
    std::fs::write(here.join("broken.npz"), b"PK\x03\x04 not an archive").expect("a file");
    let output = kinglet(here, &["run", MODEL, "--input", "broken.npz", "--output", "y.npz"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn run_takes_reals_when_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (shape, len) = input_shape(2);
    let reals = Array::from_elements(shape, &vec![0.25f32; len]).expect("an array");
    let input = save(folder.path().join("f.npz"), &[("acceleration", reals)]);
    let output =
        kinglet(folder.path(), &["run", MODEL, "--input", &input, "--output", "y.npz", "--real"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = std::fs::read(folder.path().join("y.npz")).expect("the output");
    let arrays = npz::read_npz(&bytes).expect("arrays");
    assert_eq!(arrays[0].1.dtype(), npz::DType::F32);
    let sum: f32 = arrays[0].1.view::<f32>().expect("f32")[..5].iter().sum();
    assert!((sum - 1.0).abs() < 0.05, "the five scores sum to one: {sum}");
}

#[test]
fn an_output_that_cannot_be_written_is_the_environments_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = "no/such/folder/y.npz";
    fails(folder.path(), &["run", MODEL, "--input", VECTORS, "--output", output], 3, "K0807");
}

#[test]
fn verify_says_equal_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let output = kinglet(here, &["verify", MODEL, "--against", VECTORS]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("equal to the bit"));
    let output = kinglet(here, &["verify", MODEL, "--against", "reference", "--cases", "3"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // One output value changed: the answer is no.
    let mut arrays = npz::read_npz(&std::fs::read(VECTORS).expect("vectors")).expect("arrays");
    for (name, array) in &mut arrays {
        if name == "out0" {
            let mut data = array.data().to_vec();
            data[7] ^= 1;
            *array = Array::new(array.dtype(), array.shape().to_vec(), data).expect("an array");
        }
    }
    let named: Vec<(&str, Array)> = arrays.iter().map(|(n, a)| (n.as_str(), a.clone())).collect();
    let changed = save(here.join("changed.npz"), &named);
    let output = kinglet(here, &["verify", MODEL, "--against", &changed]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("NOT EQUAL") && said.contains("first at 7"), "{said}");

    // A golden without outputs, and one of another shape.
    let inputs: Vec<(&str, Array)> = named.iter().filter(|(n, _)| *n == "in0").cloned().collect();
    let bare = save(here.join("bare.npz"), &inputs);
    fails(here, &["verify", MODEL, "--against", &bare], 2, "K0808");
}

#[test]
fn engines_and_codes_that_do_not_exist_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    fails(here, &["verify", MODEL, "--engine", "fast"], 2, "K0805");
    fails(here, &["explain", "K9999"], 2, "K0002");
    let output = kinglet(here, &["explain", "k0801"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("## What to do"));
}

#[test]
fn compile_writes_a_crate_and_refuses_a_strangers_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path();
    let compile = ["compile", MODEL, "--board", "nucleo-f446re", "--output", "out"];
    for _ in 0..2 {
        let output = kinglet(here, &compile);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for file in [
        "Cargo.toml",
        "README.md",
        "src/lib.rs",
        "src/weights.bin",
        "kernels/src/lib.rs",
        "example/src/main.rs",
    ] {
        assert!(here.join("out").join(file).is_file(), "{file} is missing");
    }
    let library = std::fs::read_to_string(here.join("out/src/lib.rs")).expect("the library");
    assert!(library.contains("#![forbid(unsafe_code)]"));
    assert!(library.contains("OUTPUT_STATE_LABELS: [&str; 5]"), "labels come from the file");

    std::fs::create_dir(here.join("mine")).expect("a folder");
    std::fs::write(here.join("mine/notes.txt"), "keep").expect("a file");
    let refused = ["compile", MODEL, "--board", "nucleo-f446re", "--output", "mine"];
    fails(here, &refused, 2, "K0809");
    assert!(here.join("mine/notes.txt").is_file());
}

#[test]
fn warnings_can_be_denied_and_never_change_the_status_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let fit = ["fit", MODEL, "--board", "esp32-c3-devkitm-1"];
    let output = kinglet(folder.path(), &fit);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let warned = said.contains("warning[");
    let mut denied = fit.to_vec();
    denied.extend(["--deny", "warnings"]);
    let output = kinglet(folder.path(), &denied);
    assert_eq!(output.status.code(), Some(i32::from(warned)));
}

/// Ctrl-C while something runs: status 130, nothing written.
#[cfg(unix)]
#[test]
fn an_interrupted_run_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    // Minutes of work for the reference interpreter.
    let (shape, len) = input_shape(20_000);
    let input = Array::from_elements(shape, &vec![1i8; len]).expect("an array");
    let input = save(folder.path().join("in.npz"), &[("in0", input)]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(["run", MODEL, "--engine", "reference", "--input", &input, "--output", "y.npz"])
        .current_dir(folder.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("kinglet starts");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.expect("kill runs").success(), "it had ended by itself");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let left = std::fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(left, 1, "only the input is there");
}
