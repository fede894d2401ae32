//! The projects in `examples/` are built with the model's crate as `compile` prints it, and run.

mod common;

use common::can_emulate;
use kinglet::model::Model;
use kinglet::{measure, printed};
use kinglet_device::{Cache, Emulation, SourceTree, build_project};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const BOARD: &str = "mps2-an386";
/// Where the examples' `Cargo.toml` expect the model's crate.
const MODEL_CRATE: &str = "target/machine_state";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Builds an example as its README says, runs it in the emulator, and compares what it prints with the
/// README.
fn build_and_run(example: &str) {
    if !can_emulate() {
        return;
    }
    let folder = repository().join("examples").join(example);
    let mut tree = SourceTree::new();
    tree.graft(example, &SourceTree::read(&folder).expect("the example"));
    let model = Model::open(&repository().join("models/machine_state/machine_state.tflite"));
    let model = model.expect("the project's model");
    let board = kinglet_boards::find(BOARD).expect("a board");
    let program = model.program(&board.target(), &Default::default()).expect("a program");
    let program = Arc::new(program);
    let mut printing = printed::options(&model);
    printing.golden = Some(printed::golden(&program).expect("a run"));
    for file in kinglet_codegen::print(&program, &printing) {
        tree.insert(format!("{example}/{MODEL_CRATE}/{}", file.path), file.bytes);
    }
    let emulation = Emulation::of(board, measure::device_needs(&program)).expect("an emulation");
    let binary = format!("example-{example}");
    let cache = Cache::open().expect("a cache");
    let memory = &emulation.machine.memory;
    let firmware = build_project(&cache, &tree, example, &binary, &emulation.core, memory)
        .unwrap_or_else(|failure| panic!("{failure}"));
    let output = Command::new("qemu-system-arm")
        .args(["-machine", BOARD, "-nographic", "-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(&firmware.path)
        .output()
        .expect("the emulator starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let page = std::fs::read_to_string(folder.join("README.md")).expect("a README");
    assert!(
        page.contains(&format!("```text\n{said}```\n")),
        "README.md of {example} lacks:\n{said}"
    );
    // The flags that a user builds with are those of the board.
    let config = std::fs::read_to_string(folder.join(".cargo/config.toml")).expect("a config");
    for flag in emulation.core.rust_flags() {
        assert!(config.contains(&flag), "{config}");
    }
    assert!(config.contains(&format!("target = \"{}\"", emulation.core.target)), "{config}");
    assert!(page.contains(&format!("--board {BOARD} -o {MODEL_CRATE}")));
}

#[test]
fn the_plain_example_runs() {
    build_and_run("cortex-m-rt");
}

#[test]
fn the_embassy_example_runs() {
    build_and_run("embassy");
}
