//! Chores. `cargo xtask` lists them.
//!
//! This crate uses none of ours, so that it builds at once; chores that need the library are binaries of
//! `testkit`.

mod demo;
mod picture;
mod run;
mod setup;
mod test;
mod tidy;

use run::Outcome;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask CHORE

  demo            the main job on the project's own model: inspect, fit, compile, run, verify, report
  test            install what the tests need and run them all
  test --quick    the fast set, under three minutes, nothing installed
  test --all      every model on every engine and core
  setup           install what the tests need
  picture         redraw docs/demo.svg from what the commands print
  tidy            layers, operators, file sizes, codes, paths
  bless           rewrite the expectations of filetests and the generated docs
  lint            formatting, clippy, docs
  budgets         compare flash, RAM and instruction counts with budgets.toml (--bless rewrites it)
  properties      instructions against plain code by random calls on emulated cores (--seed HEX --case N)
  device-bench    nine models on emulated cores beside TensorFlow Lite Micro (--write: docs/benchmarks)
  timing          predicted times beside published ones (--write: docs/benchmarks; needs ../shared)
  code-table      measure the table that fit predicts code size from
  fuzz [SECONDS]  run every fuzz target for so long
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let outcome = match args.first().map(String::as_str) {
        Some("demo") => demo::demo(rest),
        Some("test") => test::test(rest),
        Some("setup") => setup::setup(),
        Some("picture") => picture::picture(),
        Some("tidy") => tidy::tidy(),
        Some("bless") => test::bless(),
        Some("lint") => test::lint(),
        Some("budgets") => test::testkit("budgets", rest),
        Some("properties") => test::testkit("properties", rest),
        Some("timing") => test::testkit("timing", rest),
        Some("device-bench") => test::testkit("device-bench", rest),
        Some("code-table") => test::testkit("code-table", rest),
        Some("fuzz") => test::fuzz(rest),
        None | Some("--help" | "-h" | "help") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => Err(format!("there is no chore {other}\n\n{HELP}")),
    };
    finish(outcome)
}

fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
