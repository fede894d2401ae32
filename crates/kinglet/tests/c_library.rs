//! `compile --emit c-library`: the library is whole, its header is C and C++, and a program in C that is
//! linked with it computes what the engine `native` computes.

mod common;

use common::{can_build, can_emulate, in_ci};
use kinglet::batch::{Batch, Numbers};
use kinglet::engine::{self, EngineName};
use kinglet::model::{Model, read_file};
use kinglet::printed;
use kinglet_device::Library;
use kinglet_formats::npz;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BOARD: &str = "mps2-an386";
const GCC: &str = "arm-none-eabi-gcc";
const STRICT: [&str; 8] = [
    "-ffreestanding",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pedantic",
    "-Wundef",
    "-Wshadow",
    "-Wconversion",
];

/// Whether the C compiler is here; says so where not.
fn has_gcc() -> bool {
    let here = Command::new(GCC).arg("--version").output().is_ok();
    if !here {
        assert!(!in_ci(), "{GCC} is missing in CI");
        println!("skipped: {GCC} is not here; `cargo xtask setup` installs it");
    }
    here
}

fn kinglet(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kinglet")).args(args).output().expect("kinglet starts")
}

fn own_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/machine_state/machine_state.tflite")
}

/// The library of a model in this folder.
fn compile(model: &Path, board: &str, folder: &Path, further: &[&str]) {
    let (model, folder) = (model.to_string_lossy(), folder.to_string_lossy());
    let mut args =
        vec!["compile", &*model, "--emit", "c-library", "--board", board, "-o", &*folder];
    args.extend(further);
    let output = kinglet(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a program that must succeed and say nothing.
fn quietly(command: &mut Command) {
    let output = command.output().expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
}

/// The names of the functions that the header declares.
fn declared(header: &str, prefix: &str) -> BTreeSet<String> {
    let declarations = header.lines().filter(|line| line.ends_with(");") && !line.starts_with(' '));
    let names = declarations.filter_map(|line| {
        let name = line.split_once('(')?.0;
        let start = name.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')? + 1;
        name.get(start..).map(str::to_owned)
    });
    names.filter(|name| name.starts_with(prefix)).collect()
}

#[test]
fn the_library_offers_what_the_header_declares_and_needs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for (board, target) in [
        ("microbit", "thumbv6m-none-eabi"),
        (BOARD, "thumbv7em-none-eabihf"),
        ("mps3-an547", "thumbv8m.main-none-eabihf"),
        ("esp32-c3-devkitm-1", "riscv32imc-unknown-none-elf"),
    ] {
        if !can_build(target, &[]) {
            continue;
        }
        let out = folder.path().join(board);
        compile(&own_model(), board, &out, &["--optimize", "size"]);
        let library =
            Library::read(&out.join("libmachine_state.a"), "machine_state_").expect("a library");
        library.require_whole().expect("no panic, nothing undefined");
        let header = std::fs::read_to_string(out.join("machine_state.h")).expect("a header");
        let declared = declared(&header, "machine_state_");
        assert!(declared.len() >= 11, "{declared:?}");
        // Whatever else there is must be weak or the compiler's: two libraries in one program, and a C
        // library beside them, define it as well.
        let own = |name: &&str| !name.contains("compiler_builtins") && !name.starts_with("__");
        let offered: BTreeSet<String> = library.offered().filter(own).map(str::to_owned).collect();
        assert_eq!(offered, declared, "{board}");
        let shim = std::fs::read_to_string(out.join("rust/src/lib.rs")).expect("a shim");
        // Each use of unsafe code gives its reason.
        let (uses, reasons) =
            (shim.matches("unsafe {").count(), shim.matches("// SAFETY: ").count());
        assert!(uses > 10 && reasons >= uses, "{uses} uses, {reasons} reasons");
    }
}

#[test]
fn the_header_is_c_and_cpp() {
    if !can_build("thumbv7em-none-eabihf", &[]) || !has_gcc() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    compile(&own_model(), BOARD, &out, &["--no-check"]);
    let header = std::fs::read_to_string(out.join("machine_state.h")).expect("a header");
    assert!(!header.contains("_check("), "nothing is declared that is not there");
    let source = folder.path().join("use.c");
    let text = "#include \"machine_state.h\"\n\
        static const char *const labels[] = MACHINE_STATE_OUTPUT_STATE_LABELS;\n\
        static const uint32_t shape[] = MACHINE_STATE_INPUT_ACCELERATION_SHAPE;\n\
        static unsigned char pool[MACHINE_STATE_MEMORY_BYTES - SHORT];\n\
        MACHINE_STATE_ASSERT_FITS(pool);\n\
        int use(machine_state_model *model, float *real);\n\
        int use(machine_state_model *model, float *real)\n{\n\
        const int8_t *state = machine_state_output_state(model);\n\
        *real = MACHINE_STATE_OUTPUT_STATE_SCALE * (float)(state[0] - MACHINE_STATE_OUTPUT_STATE_ZERO_POINT);\n\
        return labels[0][0] + (int)shape[0] + pool[0];\n}\n";
    std::fs::write(&source, text).expect("a file");
    for (language, standard) in [
        ("c", "c99"),
        ("c", "c11"),
        ("c", "c17"),
        ("c++", "c++98"),
        ("c++", "c++11"),
        ("c++", "c++17"),
    ] {
        let compiler = |short: &str| {
            let mut command = Command::new(GCC);
            command.args(["-x", language, &format!("-std={standard}"), "-c", "-o", "/dev/null"]);
            command.args(STRICT).arg("-I").arg(&out).arg(format!("-DSHORT={short}"));
            command.arg(&source);
            command
        };
        quietly(&mut compiler("0"));
        let output = compiler("1").output().expect("the compiler starts");
        assert!(!output.status.success(), "{standard}: one byte too few compiles");
    }
}

/// A program in C around the library of a model, run on the emulated board.
fn run_from_c(path: &Path, batch: &Batch, model: &Model) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    compile(path, BOARD, &out, &["--name", "tested"]);
    // A second library in the same program.
    let other = folder.path().join("other");
    compile(&own_model(), BOARD, &other, &["--name", "bystander"]);
    let board = kinglet_boards::find(BOARD).expect("a board");
    let program = model.program(&board.target(), &Default::default()).expect("a program");
    let bytes = |ports: &[kinglet_program::Port]| {
        let list: Vec<String> = ports.iter().map(|port| port.ty.bytes().to_string()).collect();
        format!("{{{}}}", list.join(", "))
    };
    let adapter = format!(
        "#include \"bystander.h\"\n#include \"tested.h\"\n#define M(name) tested_##name\n\
         #define M_CONST(name) TESTED_##name\n#define CASES {}u\n#define STEPS_A_CASE {}u\n\
         #define INPUT_BYTES {}\n#define OUTPUT_BYTES {}\n\
         int32_t bystander(void);\n\
         int32_t bystander(void)\n{{\n    static bystander_memory memory;\n\
         static bystander_model model;\n    bystander_init(&model, &memory, sizeof memory);\n\
         return bystander_check(&model) ? 1 : 0;\n}}\n",
        batch.cases(),
        batch.steps(),
        bytes(&program.inputs),
        bytes(&program.outputs)
    );
    std::fs::write(folder.path().join("model.h"), adapter).expect("a file");
    std::fs::write(
        folder.path().join("in.bin"),
        printed::harness_inputs(batch, program.inputs.len()),
    )
    .expect("a file");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c");
    let core = kinglet_device::core(board).expect("a core");
    let mut command = Command::new(GCC);
    command.args(kinglet_device::c_flags(&core)).args(STRICT).args(["-std=c99", "-Os"]);
    // No C library and no compiler library: what the model needs comes with it. Without garbage
    // collection all functions of both libraries stay.
    command.args(["-nostdlib", "-fno-builtin", "-Wl,--fatal-warnings,-z,noexecstack"]);
    command.arg(sources.join("main.c")).arg("-T").arg(sources.join("link.ld"));
    command.arg("-I").arg(folder.path()).arg("-I").arg(&out).arg("-I").arg(&other);
    command.arg("-L").arg(&out).arg("-L").arg(&other).args(["-ltested", "-lbystander"]);
    quietly(command.arg("-o").arg(folder.path().join("program.elf")));
    let mut emulator = Command::new("qemu-system-arm");
    emulator.args(["-machine", BOARD, "-nographic", "-monitor", "none", "-serial", "none"]);
    emulator.args(["-semihosting-config", "enable=on,target=native", "-kernel", "program.elf"]);
    quietly(emulator.current_dir(folder.path()));
    std::fs::read(folder.path().join("out.bin")).expect("outputs")
}

fn equal_from_c(path: &Path, batch: impl Fn(&Model) -> Batch) {
    let model = Model::open(path).expect("the model");
    let batch = batch(&model);
    let output = engine::run(&model, &EngineName::Native, &batch, false).expect("a run");
    assert_eq!(output.outputs.len(), 1, "the models here have one output");
    assert!(run_from_c(path, &batch, &model) == output.outputs.concat(), "{}", path.display());
}

#[test]
fn a_program_in_c_computes_the_same_bits() {
    if !can_emulate() || !has_gcc() {
        return;
    }
    let vectors = own_model().with_file_name("vectors.npz");
    equal_from_c(&own_model(), |model| {
        let arrays = npz::read_npz(&read_file(&vectors).expect("vectors")).expect("arrays");
        Batch::from_arrays(&arrays, &model.graph, Numbers::Raw).expect("a batch")
    });
    // With state that outlives a run.
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let streaming = shared.join("assets/models/mww_okay_nabu_v2.tflite");
    if streaming.is_file() {
        equal_from_c(&streaming, |model| Batch::made_up(&model.graph, 3, 4));
    } else {
        assert!(!in_ci(), "the conformance set is missing in CI");
        println!("skipped: the conformance set is not here");
    }
}

/// A failed compile: its status, and its message.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let output = kinglet(args);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_cannot_be_a_library_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (model, out) = (own_model(), folder.path().join("out"));
    let (model, out) = (model.to_string_lossy(), out.to_string_lossy());
    let base = ["compile", &*model, "--emit", "c-library", "--board", BOARD, "-o", &*out]
        .map(str::to_owned);
    let with = |further: &[&str]| {
        let args = base.iter().map(String::as_str).chain(further.iter().copied());
        refused(&args.collect::<Vec<_>>())
    };
    for name in ["int", "Math", "class", "stdint", "c"] {
        let (status, said) = with(&["--name", name]);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("K0820") && said.contains("help: "), "{said}");
    }
    for further in [["--taps", "--no-check"], ["--kernels", "version=1"]] {
        let (status, said) = with(&further);
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("K0812") && said.contains("--emit crate"), "{said}");
    }
    // No compiler at all.
    let output = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(&base)
        .env("PATH", folder.path())
        .env("RUSTUP_HOME", folder.path())
        .env("HOME", folder.path())
        .env("KINGLET_CACHE", folder.path().join("cache"))
        .env_remove("KINGLET_RUSTC")
        .output()
        .expect("kinglet starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("K0701") && said.contains("help: "), "{said}");
    assert!(!Path::new(&*out).exists());
    if !can_build("thumbv7em-none-eabihf", &[]) {
        return;
    }
    // A folder that cannot be made.
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let below = file.join("out");
    let (status, said) = refused(&[
        "compile",
        &model,
        "--emit",
        "c-library",
        "--board",
        BOARD,
        "-o",
        &below.to_string_lossy(),
    ]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("K0807") && said.contains("help: "), "{said}");
}
