//! `profile` on the project's model: every instruction belongs to an operator or lies outside, and the
//! firmware is the one that `run` measures. Needs the emulator and the target; says so and passes where they
//! are missing.

mod common;

use common::can_emulate;
use kinglet::batch::Batch;
use kinglet::engine::{BoardRun, on_board};
use kinglet::measure;
use kinglet::model::Model;
use kinglet::profile::{OperatorProfile, profile};
use kinglet_boards::find;
use kinglet_decide::Optimize;
use kinglet_device::Count;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const MODEL: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/machine_state/machine_state.tflite");
const BOARD: &str = "mps2-an386";

fn kinglet(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kinglet")).args(args).output().expect("kinglet starts")
}

/// A profile by the command line, as JSON.
fn json(args: &[&str]) -> Value {
    let output = kinglet(&[&["profile", MODEL, "--json"], args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn operators_and_the_rest_add_up_to_what_a_plain_run_counts() {
    if !can_emulate() {
        return;
    }
    let model = Model::open(Path::new(MODEL)).expect("the project's model");
    let board = find(BOARD).expect("a board");
    let batch = Batch::made_up(&model.graph, 3, 1).in_sequence();
    for optimize in [Optimize::Speed, Optimize::Size] {
        let found = profile(&model, board, optimize).expect("a profile").profile;
        let run = BoardRun {
            profile: measure::profile(optimize),
            count: Count::Instructions,
            ..BoardRun::default()
        };
        let plain =
            on_board(&model, board, &batch, &run).expect("a run").measured.expect("figures");
        assert_eq!(Some(&found.instructions), plain.instructions.last(), "{optimize:?}");
        let inside: u64 = found.operators.iter().map(|operator| operator.instructions).sum();
        assert_eq!(inside + found.outside, found.instructions);
        let functions: u64 = found.functions.iter().map(|function| function.instructions).sum();
        assert_eq!(functions, found.instructions);
        // A call and a return, not the work.
        assert!(found.outside > 0 && found.outside < 100, "{} outside", found.outside);

        let program = model.program(&board.target(), &Default::default()).expect("a program");
        let steps: Vec<usize> = found.operators.iter().flat_map(|o| o.steps.clone()).collect();
        assert_eq!(steps, (0..program.steps.len()).collect::<Vec<_>>());
        // Steps without a call of their own may share an entry.
        if program.steps.iter().all(|step| step.call.shared) {
            assert!(found.operators.iter().all(|operator| operator.nodes.len() == 1));
        }
        for operator in &found.operators {
            let step = &program.steps[operator.steps[0]];
            assert_eq!(operator.kernels[0], step.call.kernel.declaration().name);
            assert!(operator.instructions > 0, "{operator:?}");
        }
        // Every instruction takes a cycle on cores without a second pipeline, and no kind takes many.
        let cycles: Option<u64> = found.operators.iter().map(|operator| operator.cycles).sum();
        match (&found.time, cycles) {
            (Some(time), Some(cycles)) => {
                assert!(
                    time.cycles.abs_diff(cycles)
                        <= 1 + found.operators.len() as u64 + 4 * found.outside
                );
                assert!(time.cycles >= found.instructions && time.cycles < 3 * found.instructions);
                assert_eq!((time.basis, time.flash_wait_states), ("predicted", None));
            }
            (time, cycles) => {
                assert!(time.is_none() && cycles.is_none(), "{time:?}");
                assert!(!found.core.contains("M4") && !found.core.contains("M0"));
            }
        }
        // One step is no longer than its operator, and some step is as long as the average.
        let longest = &found.longest_slice;
        let of = |operator: &&OperatorProfile| operator.steps.starts_with(&longest.steps[..1]);
        let operator = found.operators.iter().find(of).expect("the longest slice's operator");
        assert!(longest.instructions <= operator.instructions, "{longest:?}");
        assert!(longest.instructions >= inside / program.steps.len() as u64, "{longest:?}");
        // The model's 153,072 multiplications take far more than what moves data.
        let macs: u64 = found.operators.iter().map(|operator| operator.macs).sum();
        assert_eq!((macs, found.macs), (153_072, 153_072));
        for operator in found.operators.iter().filter(|operator| operator.macs > 0) {
            let (bound, times) = (operator.bound_instructions, operator.times_bound);
            let (bound, times) = (bound.expect("a bound"), times.expect("a distance"));
            assert!((times * bound as f64 - operator.instructions as f64).abs() < 1.0);
            assert!(operator.instructions > operator.macs / 4, "{operator:?}");
        }
    }
}

#[test]
fn a_real_board_runs_on_the_machine_that_stands_for_it() {
    if !can_emulate() {
        return;
    }
    let real = json(&["--engine", "qemu:nucleo-f446re"]);
    let emulated = json(&["--engine", "qemu:mps2-an386"]);
    assert_eq!((&real["board"], &real["emulated"]), (&"nucleo-f446re".into(), &BOARD.into()));
    assert_eq!(real["instructions"], emulated["instructions"]);
    // Its flash has wait states, and its clock is known.
    let cycles = |of: &Value| of["time"]["cycles"].as_u64().expect("cycles");
    assert!(cycles(&real) > cycles(&emulated));
    let milliseconds = real["time"]["milliseconds"].as_f64().expect("a time");
    let clock = real["time"]["clock_mhz"].as_f64().expect("a clock");
    assert!((milliseconds * clock * 1e3 - cycles(&real) as f64).abs() < 1.0);
    let instructions = |of: &Value| -> Vec<Value> {
        let operators = of["operators"].as_array().expect("operators");
        operators.iter().map(|operator| operator["instructions"].clone()).collect()
    };
    assert_eq!(instructions(&real), instructions(&emulated));
    assert_eq!(real["bound"]["isa"], "Arm DSP extension");
}

#[test]
fn the_table_is_in_order_or_by_cost() {
    if !can_emulate() {
        return;
    }
    let engine = ["--engine", "qemu:mps2-an386"];
    let list = |sort: bool| {
        let flag: &[&str] = if sort { &["--sort", "--functions"] } else { &[] };
        let output = kinglet(&[&["profile", MODEL], &engine[..], flag].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let costs = |text: &str| -> Vec<u64> {
        let rows = text.lines().skip_while(|line| !line.starts_with("node")).skip(1);
        let rows = rows.take_while(|line| !line.contains("outside the operators"));
        let words = rows.map(|row| row.split_whitespace().nth(5).expect("a cell").replace(',', ""));
        words.map(|word| word.parse().expect("a number")).collect()
    };
    let value = json(&engine);
    let operators = value["operators"].as_array().expect("operators");
    let expected: Vec<u64> = operators
        .iter()
        .map(|operator| operator["instructions"].as_u64().expect("a number"))
        .collect();
    assert_eq!(costs(&list(false)), expected);
    let mut sorted = expected;
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let text = list(true);
    assert_eq!(costs(&text), sorted);
    assert!(text.contains("kinglet_kernels::") && text.contains('█'), "{text}");
}

#[test]
fn what_cannot_be_profiled_is_refused() {
    for (args, code) in [
        (["profile", MODEL, "--engine", "native"], "K0812"),
        (["profile", MODEL, "--engine", "crate:mps2-an386"], "K0812"),
        (["profile", MODEL, "--engine", "nonsense"], "K0805"),
        (["profile", MODEL, "--engine", "qemu:raspberry-pi-5"], "K0717"),
        (["profile", "missing.tflite", "--engine", "qemu:mps2-an386"], "K0801"),
        (
            [
                "profile",
                concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
                "--engine",
                "qemu:mps2-an386",
            ],
            "K0103",
        ),
    ] {
        let output = kinglet(&args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(code) && message.contains("help: "), "{args:?}: {message}");
        let output = kinglet(&[&args[..], &["--json"]].concat());
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            (&value["schema"], &value["errors"][0]["code"]),
            (&"kinglet.error/1".into(), &code.into())
        );
    }
    let message = kinglet(&["profile", MODEL, "--engine", "native"]).stderr;
    let message = String::from_utf8_lossy(&message).into_owned();
    assert!(message.contains("--engine qemu:nucleo-f446re"), "{message}");
}
