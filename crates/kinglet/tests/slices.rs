//! Runs in slices: equal to whole runs to the bit for every split, on this machine and on an emulated
//! Cortex-M4F; not there when unused.

mod common;

use common::can_emulate;
use kinglet::batch::{Batch, Numbers};
use kinglet::engine::{self, EngineName};
use kinglet::model::{Model, read_file};
use kinglet::printed;
use kinglet_device::{
    Cache, Cases, Count, Elf, Emulation, HostRequest, ModelCrate, Needs, Outcome, Profile, Request,
    run_host,
};
use kinglet_formats::npz;
use kinglet_program::{Options, Program};
use std::path::{Path, PathBuf};
use std::time::Duration;

const BOARD: &str = "mps2-an386";
const LIMIT: Duration = Duration::from_secs(120);
const RUN: &str = "    pub fn run(&mut self) {";

/// Stands between two steps: other work, with its own use of the stack.
const OTHER_WORK: &str = "core::hint::black_box([0xA5_u8; 300]);";

/// Bodies that stand for `run`, each by name. What they must not see ends in outputs of all 99.
const BODIES: [(&str, &str); 3] = [
    (
        "a loop",
        "let mut slices = self.begin();
        let mut taken = 1;
        while slices.step() { {{other}} if slices.position() != taken { break; } taken += 1; }
        if slices.position() != STEPS || slices.step() { self.memory.fill(99); }",
    ),
    (
        "left after every step",
        "let mut paused = self.begin().pause();
        loop {
            {{other}}
            let mut again = Model { memory: self.memory };
            let mut slices = again.resume(paused);
            let more = slices.step();
            paused = slices.pause();
            if !more { break; }
        }",
    ),
    (
        "every split in turn",
        "use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
        static SPLIT: AtomicU32 = AtomicU32::new(0);
        let split = SPLIT.load(Relaxed);
        SPLIT.store((split + 1) % (STEPS + 1), Relaxed);
        let mut slices = self.begin();
        for _ in 0..split { slices.step(); {{other}} }
        slices.finish();",
    ),
];

/// The printed crate whose `run` has this body.
fn sliced(model: &Model, program: &Program, body: &str) -> ModelCrate {
    let mut printed = printed::source(model, program, false);
    let text = printed.tree.get("src/lib.rs").expect("a library");
    let text = std::str::from_utf8(text).expect("text");
    assert!(text.contains(RUN), "the printed crate has a run");
    let body = body.replace("{{other}}", OTHER_WORK);
    let run = format!("{RUN}\n        {body}\n    }}\n    pub fn whole(&mut self) {{");
    let text = text.replacen(RUN, &run, 1);
    printed.tree.insert("src/lib.rs", text);
    printed
}

struct Case {
    model: Model,
    batch: Batch,
    /// Outputs of the engine `native`, run by run.
    expected: Vec<u8>,
}

fn case(model: &Path, vectors: Option<&Path>) -> Case {
    let model = Model::open(model).expect("the model");
    let batch = match vectors {
        Some(path) => {
            let arrays = npz::read_npz(&read_file(path).expect("vectors")).expect("arrays");
            Batch::from_arrays(&arrays, &model.graph, Numbers::Raw).expect("a batch")
        }
        None => Batch::made_up(&model.graph, 3, 4),
    };
    let output = engine::run(&model, &EngineName::Native, &batch, false).expect("a run");
    assert_eq!(output.outputs.len(), 1, "the models here have one output");
    Case { expected: output.outputs.concat(), model, batch }
}

impl Case {
    fn own() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/machine_state");
        case(&folder.join("machine_state.tflite"), Some(&folder.join("vectors.npz")))
    }

    fn cases(&self, program: &Program) -> Cases {
        let inputs = &program.inputs;
        Cases {
            cases: self.batch.cases().try_into().expect("few cases"),
            steps: self.batch.steps().try_into().expect("few steps"),
            input_bytes: inputs.iter().map(|port| port.ty.bytes()).collect(),
            output_bytes: program.outputs.iter().map(|port| port.ty.bytes()).collect(),
            inputs: printed::harness_inputs(&self.batch, inputs.len()),
        }
    }

    fn on_host(&self, program: &Program, body: &str) -> Vec<u8> {
        let request = HostRequest {
            model: &sliced(&self.model, program, body),
            profile: Profile::default(),
            taps: false,
            cases: &self.cases(program),
            timeout: LIMIT,
        };
        let cache = Cache::open().expect("a cache");
        run_host(&cache, &request).expect("a run").outputs.bytes().to_vec()
    }

    fn on_board(&self, program: &Program, printed: &ModelCrate) -> Outcome {
        let board = kinglet_boards::find(BOARD).expect("a board");
        let emulation = Emulation::of(board, Needs::default()).expect("an emulated board");
        let request = Request {
            model: printed,
            core: &emulation.core,
            machine: &emulation.machine,
            profile: Profile { lto: true, ..Profile::default() },
            taps: false,
            cases: &self.cases(program),
            count: Count::Instructions,
            marks: &[],
            costs: None,
            timeout: LIMIT,
        };
        kinglet_device::run(&Cache::open().expect("a cache"), &request).expect("a run")
    }
}

/// A streaming model with state, where the conformance set is.
fn streaming() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let model = shared.join("assets/models/mww_okay_nabu_v2.tflite");
    if model.is_file() {
        return Some(model);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the conformance set is missing in CI");
    println!("skipped: the conformance set is not here");
    None
}

#[test]
fn pat_03_every_split_gives_the_same_bits_on_this_machine() {
    let mut cases = vec![Case::own()];
    cases.extend(streaming().map(|model| case(&model, None)));
    let board = kinglet_boards::find(BOARD).expect("a board");
    for case in cases {
        let program = case.model.program(&board.target(), &Options::default()).expect("a program");
        for (name, body) in BODIES {
            assert!(case.on_host(&program, body) == case.expected, "{}: {name}", program.name);
        }
    }
}

#[test]
fn pat_03_every_split_gives_the_same_bits_on_a_board_and_costs_nothing_unused() {
    if !can_emulate() {
        return;
    }
    let case = Case::own();
    let board = kinglet_boards::find(BOARD).expect("a board");
    let program = case.model.program(&board.target(), &Options::default()).expect("a program");
    for (name, body) in BODIES {
        let outcome = case.on_board(&program, &sliced(&case.model, &program, body));
        assert!(outcome.outputs.bytes() == case.expected, "{name}");
        let elf = Elf::read(&outcome.firmware.path).expect("the program");
        elf.require_no_panic().expect("no panic in slices");
    }
    let whole = case.on_board(&program, &printed::source(&case.model, &program, false));
    let elf = Elf::read(&whole.firmware.path).expect("the program");
    let sliced = sliced(&case.model, &program, "let mut s = self.begin(); while s.step() {}");
    let sliced = case.on_board(&program, &sliced);
    let last = |outcome: &Outcome| outcome.counts.last().map_or(0, |count| count.instructions);
    let steps = program.steps.len() as u64;
    println!("{} instructions in {steps} slices, {} in one", last(&sliced), last(&whole));
    assert!(last(&whole) > 0 && last(&sliced) < last(&whole) + 20 * steps);
    let linked = elf.symbols().iter().find(|symbol| symbol.name.contains("Slices"));
    assert!(linked.is_none(), "{linked:?}");
}
