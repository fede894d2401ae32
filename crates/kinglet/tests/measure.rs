//! `fit` against the linked example: what is measured equals the ELF to the byte, what is predicted is as
//! near as promised. Needs the emulator and the target; says so and passes where they are missing.

mod common;

use common::can_emulate;
use kinglet::fit::Fitting;
use kinglet::measure;
use kinglet::model::Model;
use kinglet::printed;
use kinglet_boards::find;
use kinglet_decide::{Basis, FitReport, Memory, Optimize, Settings, Verdict};
use kinglet_device::{Cache, Elf, Emulation, Needs, Profile, measure_example};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/machine_state/machine_state.tflite");
const BOARD: &str = "mps2-an386";

fn part(memory: &Memory, name: &str) -> u64 {
    memory.parts.iter().find(|part| part.name == name).map_or(0, |part| part.bytes)
}

fn flash(report: &FitReport) -> &Memory {
    report.flash.as_ref().expect("a microcontroller has flash")
}

#[test]
fn cm_06_measured_figures_are_those_of_the_elf_and_predicted_ones_are_near() {
    if !can_emulate() {
        return;
    }
    let model = Model::open(Path::new(MODEL)).expect("the project's model");
    let board = find(BOARD).expect("a board");
    for optimize in [Optimize::Size, Optimize::Speed] {
        let mut fitting = Fitting::new(&model, Settings { optimize, ..Settings::default() });
        let (program, weights) = fitting.program(board).expect("a program");
        let linked = measure::example(&model, &program, board, optimize).expect("the example");
        let needs = measure::device_needs(&program);
        let memory = Emulation::of(board, needs).expect("an emulated board").machine.memory;
        let sizes = Elf::read(&linked.elf).expect("the program").sizes(&memory);
        let (measured, _) = fitting.measure(board).expect("an answer");
        assert_eq!((measured.basis, measured.verdict), (Basis::Measured, Verdict::Fits));
        let (ram, rom) = (&measured.ram, flash(&measured));
        assert_eq!(rom.needed, sizes.flash);
        assert_eq!(
            [part(rom, "code") + part(rom, "check"), part(rom, "weights"), part(rom, "vectors")],
            [sizes.code + sizes.constants, sizes.weights, sizes.vectors]
        );
        assert_eq!(part(ram, "arena") + part(ram, "state"), sizes.arena);
        assert_eq!(part(ram, "statics"), sizes.statics);
        assert!(part(ram, "stack") > 0, "the stack is painted");

        let predicted = fitting.predict(board).expect("an answer");
        // Exact; blocks are linked as multiples of 16 bytes.
        let whole = |bytes: u64| bytes.next_multiple_of(16);
        for name in ["arena", "state"] {
            assert_eq!(part(&predicted.ram, name), part(ram, name), "{name}");
        }
        assert_eq!(part(ram, "arena"), whole(program.arena_bytes as u64));
        assert_eq!(part(flash(&predicted), "check"), part(rom, "check"));
        assert_eq!(part(flash(&predicted), "weights"), part(rom, "weights"));
        assert_eq!(part(rom, "weights"), whole(weights));
        let weights = whole(weights);
        let (guess, truth) = (flash(&predicted).needed - weights, rom.needed - weights);
        let off = guess.abs_diff(truth);
        assert!(off <= 1024 || off * 10 <= truth, "{optimize:?}: {guess} for {truth}");
    }
}

#[test]
fn what_is_too_large_to_link_is_measured_all_the_same() {
    if !can_emulate() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.toml");
    let text = "id = \"small\"\nname = \"Small\"\nvendor = \"V\"\nsoc = \"S\"\nclass = \"microcontroller\"\n\
        core = \"cortex-m4f\"\n\n[[memory]]\nname = \"RAM\"\nkind = \"ram\"\nbytes = 2048\n\n\
        [[memory]]\nname = \"ROM\"\nkind = \"flash\"\nbytes = 65536\n";
    std::fs::write(&path, text).expect("a board file");
    let output = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(["fit", MODEL, "--measure", "--optimize", "size", "--json", "--board"])
        .arg(&path)
        .output()
        .expect("kinglet starts");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let report = &value["boards"][0];
    assert_eq!((&report["basis"], &report["verdict"]), (&"measured".into(), &"too-large".into()));
    let ram = &report["ram"];
    assert_eq!(ram["missing"].as_u64(), ram["needed"].as_u64().map(|needed| needed - 2048));
    assert_eq!(ram["error"], 0);
}

#[test]
fn weights_in_a_section_of_their_own_are_linked_there_and_compute_the_same() {
    if !can_emulate() {
        return;
    }
    const SECTION: &str = ".external_flash";
    let model = Model::open(Path::new(MODEL)).expect("the project's model");
    let board = find(BOARD).expect("a board");
    let mut fitting = Fitting::new(&model, Settings::default());
    let (program, _) = fitting.program(board).expect("a program");
    let mut printing = printed::options(&model);
    printing.weights_section = Some(SECTION.to_owned());
    let emulation = Emulation::of(board, Needs::default()).expect("an emulated board");
    let tree = measure::example_tree(printing, &program, &emulation, Profile::default())
        .expect("the program runs");
    let cache = Cache::open().expect("a cache");
    let limit = Duration::from_secs(60);
    let found = measure_example(&cache, &tree, printed::EXAMPLE_FOLDER, &emulation, limit)
        .expect("the example links and its check passes");
    assert!(found.printed.contains("check passed"), "{}", found.printed);
    let weights = kinglet_codegen::Weights::of(&program).bytes.len() as u64;
    // The block is aligned to 16 bytes, and so long.
    assert_eq!(found.sizes.weights, weights.next_multiple_of(16));
    let elf = std::fs::read(&found.firmware.path).expect("the program");
    let name = [SECTION.as_bytes(), b"\0"].concat();
    assert!(elf.windows(name.len()).any(|bytes| bytes == name), "no section {SECTION}");
}
