//! The printed crate as a reviewer sees it.

use kinglet::model::Model;
use kinglet::printed;
use kinglet_program::{Options, Program};
use kinglet_target::Target;
use kinglet_testkit::assets;
use kinglet_testkit::conform::models;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

fn all_models() -> Vec<PathBuf> {
    let mut found = models(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models"));
    if let Some(assets) = assets() {
        found.extend(models(&assets.join("models")));
    }
    found
}

fn print(model: &Model, taps: bool, check: bool) -> Option<Vec<kinglet_codegen::File>> {
    let (program, options) = program(model, taps, check)?;
    Some(kinglet_codegen::print(&program, &options))
}

fn program(
    model: &Model,
    taps: bool,
    check: bool,
) -> Option<(Arc<Program>, kinglet_codegen::Options)> {
    let program = Arc::new(model.program(&Target::host(), &Options::default()).ok()?);
    let mut options = printed::options(model);
    options.taps = taps;
    options.golden = check.then(|| printed::golden(&program).expect("the program runs"));
    Some((program, options))
}

#[test]
fn printed_crates_are_as_rustfmt_leaves_them() {
    let there = Command::new("rustfmt").arg("--version").stdout(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "rustfmt is missing in CI");
        println!("skipped: rustfmt is not here");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    // The defaults, whatever the folders above it say.
    std::fs::write(folder.path().join("rustfmt.toml"), "").expect("a file");
    let mut files = Vec::new();
    for (index, path) in all_models().iter().enumerate() {
        let Ok(model) = Model::open(path) else { continue };
        let Some(printed) = print(&model, index % 2 == 0, index % 3 != 0) else { continue };
        let library = printed.iter().find(|file| file.path == "src/lib.rs").expect("a library");
        let file = folder.path().join(format!("m{index}.rs"));
        std::fs::write(&file, &library.bytes).expect("a file");
        files.push(file);
        // And what stands between it and C.
        let Some((program, options)) = program(&model, false, index % 3 != 0) else { continue };
        let library = kinglet_codegen::c_library(&program, &options);
        let shim = library.files.iter().find(|file| file.path == "src/lib.rs").expect("a shim");
        let file = folder.path().join(format!("c{index}.rs"));
        std::fs::write(&file, &shim.bytes).expect("a file");
        files.push(file);
    }
    assert!(!files.is_empty());
    let output = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "--config-path"])
        .arg(folder.path())
        .args(&files)
        .output()
        .expect("rustfmt runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", said.lines().take(40).collect::<Vec<_>>().join("\n"));
}

#[test]
fn printing_twice_gives_the_same_bytes_and_no_path() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../models/machine_state/machine_state.tflite");
    let model = Model::open(&own).expect("the model opens");
    let (a, b) = (
        print(&model, true, true).expect("it prints"),
        print(&model, true, true).expect("it prints"),
    );
    assert_eq!(a, b);
    for file in a.iter().filter(|file| !file.path.starts_with("kernels/")) {
        let text = String::from_utf8_lossy(&file.bytes);
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{} holds a path", file.path);
        assert!(!text.contains("unsafe {"), "{} has unsafe code", file.path);
    }
}
