//! `kinglet profile MODEL --engine qemu:BOARD`

use super::{Done, Progress, Show};
use crate::engine::EngineName;
use crate::model::Model;
use crate::profile::{OperatorProfile, Profile, Time, profile};
use crate::table::{Align, Table, bytes, short};
use kinglet_decide::Optimize;
use kinglet_diag::{Diagnostic, Result, code};
use serde_json::json;
use std::path::PathBuf;

/// Count the instructions of each operator on an emulated board, exactly
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The firmware is the one that `run` measures, unchanged; a real board's program runs on the emulated machine
that stands for its core. Shown is the last of three inferences with made-up inputs, without input and
output. Operators and what lies outside them add up to the total. Instructions are exact; cycles are predicted
from them by the core's manual, for Cortex-M0, M0+, M3, M4 and, roughly, M7. `x bound` is how many times the instructions an operator takes that a dot product in the
core's registers would take at best; docs/json/profile.md says where the bounds come from.

Examples:
  kinglet profile model.tflite --engine qemu:nucleo-f446re
  kinglet profile model.tflite --engine qemu:mps3-an547 --sort
  kinglet profile model.tflite --engine qemu:mps2-an386 --optimize size --functions
  kinglet profile model.tflite --engine qemu:mps2-an386 --json | jq '.operators[] | [.operator, .instructions]'")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// qemu:BOARD
    #[arg(short, long)]
    engine: String,
    /// What the compiler optimizes for
    #[arg(long, default_value = "speed", value_parser = ["speed", "size"])]
    optimize: String,
    /// The most expensive operators first
    #[arg(long)]
    sort: bool,
    /// Show the functions of the linked program too
    #[arg(long)]
    functions: bool,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let engine: EngineName = args.engine.parse()?;
    let EngineName::Qemu(board) = &engine else {
        return Err(Diagnostic::error(
            code::USAGE,
            format!("the engine {engine} counts no instructions"),
        )
        .help("name an emulated board, as in `--engine qemu:nucleo-f446re`; `kinglet boards` lists the boards")
        .into());
    };
    let board = kinglet_boards::open(board)?;
    let model = Model::open(&args.model)?;
    let optimize = if args.optimize == "size" { Optimize::Size } else { Optimize::Speed };
    let found = {
        let _progress =
            Progress::start(show, format!("building and counting the firmware for {}", board.id));
        profile(&model, &board, optimize)?
    };
    let profile = &found.profile;
    show.text(&text(&model, profile, args));
    show.object(
        "kinglet.profile/1",
        json!({
            "model": model.path.display().to_string(),
            "model_sha256": model.digest,
            "engine": engine.to_string(),
            "board": profile.board,
            "core": profile.core,
            "emulated": profile.emulated,
            "optimize": profile.optimize,
            "instructions": profile.instructions,
            "macs": profile.macs,
            "macs_per_instruction": profile.macs_per_instruction,
            "outside": profile.outside,
            "time": profile.time,
            "longest_slice": profile.longest_slice,
            "bound": profile.bound,
            "operators": profile.operators,
            "functions": profile.functions,
        }),
    );
    Ok(Done::with(model.remarks.iter().chain(&found.notes).cloned().collect()))
}

/// Characters of the longest bar.
const BAR: f64 = 24.0;

fn text(model: &Model, profile: &Profile, args: &Args) -> String {
    let stands = match profile.board == profile.emulated {
        true => String::new(),
        false => format!(", run on {}", profile.emulated),
    };
    let mut text = format!(
        "{} on {} ({}){stands}, optimized for {}\n{} instructions an inference, {} MACs: {:.3} MAC/insn\n",
        model.path.display(),
        profile.board,
        profile.core,
        args.optimize,
        bytes(profile.instructions),
        bytes(profile.macs),
        profile.macs_per_instruction,
    );
    if let Some(time) = &profile.time {
        text.push_str(&predicted(time));
    }
    if let Some(bound) = &profile.bound {
        text.push_str(&format!(
            "bound on {}: {} MAC/insn ({})\n",
            bound.isa, bound.macs_per_instruction, bound.block
        ));
    }
    text.push_str(&format!("\n{}", operators(profile, args.sort)));
    let steps: Vec<String> = profile.longest_slice.steps.iter().map(usize::to_string).collect();
    text.push_str(&format!(
        "longest slice of a run made step by step: step {}, {} instructions{}\n",
        steps.join("+"),
        bytes(profile.longest_slice.instructions),
        match profile.longest_slice.cycles {
            Some(cycles) => format!(", ~{} cycles", bytes(cycles)),
            None => String::new(),
        }
    ));
    if args.functions {
        text.push_str(&format!("\n{}", functions(profile)));
    }
    text
}

/// The predicted time in a line.
fn predicted(time: &Time) -> String {
    let clock = match (time.milliseconds, time.clock_mhz) {
        (Some(milliseconds), Some(mhz)) => format!(": ~{milliseconds:.1} ms at {mhz} MHz"),
        _ => String::new(),
    };
    let flash = match time.flash_wait_states {
        Some(states) => format!("{states} wait states for data in flash, code cached"),
        None => "no wait states".to_owned(),
    };
    format!("~{} cycles, predicted{clock} ({flash})\n", bytes(time.cycles))
}

fn operators(profile: &Profile, sort: bool) -> Table {
    let mut table = Table::new(&[
        ("node", Align::Right),
        ("operator", Align::Left),
        ("output", Align::Left),
        ("kernel", Align::Left),
        ("MACs", Align::Right),
        ("instructions", Align::Right),
        ("share", Align::Right),
        ("~cycles", Align::Right),
        ("MAC/insn", Align::Right),
        ("x bound", Align::Right),
        ("", Align::Left),
    ]);
    let mut rows: Vec<&OperatorProfile> = profile.operators.iter().collect();
    if sort {
        // Equal ones keep their order.
        rows.sort_by_key(|operator| std::cmp::Reverse(operator.instructions));
    }
    let most = rows.iter().map(|operator| operator.instructions).max().unwrap_or(0).max(1);
    for operator in rows {
        let nodes: Vec<String> = operator.nodes.iter().map(|node| node.index.to_string()).collect();
        let ratio = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        table.row([
            nodes.join(","),
            short(&operator.operator),
            short(&operator.outputs.join(" ")),
            operator.kernels.join(" "),
            bytes(operator.macs),
            bytes(operator.instructions),
            percent(operator.share),
            operator.cycles.map_or("-".to_owned(), bytes),
            ratio(operator.macs_per_instruction, 3),
            ratio(operator.times_bound, 1),
            bar(operator.instructions as f64 / most as f64),
        ]);
    }
    let mut last = |what: &str, macs: String, instructions: u64| {
        let share = instructions as f64 / profile.instructions.max(1) as f64;
        let mut cells = vec![String::new(); 7];
        cells[1] = what.to_owned();
        cells[4] = macs;
        cells[5] = bytes(instructions);
        cells[6] = percent(share);
        table.row(cells);
    };
    last("outside the operators", String::new(), profile.outside);
    last("total", bytes(profile.macs), profile.instructions);
    table
}

fn functions(profile: &Profile) -> Table {
    let mut table = Table::new(&[
        ("instructions", Align::Right),
        ("share", Align::Right),
        ("function", Align::Left),
    ]);
    for function in &profile.functions {
        let share = function.instructions as f64 / profile.instructions.max(1) as f64;
        table.row([bytes(function.instructions), percent(share), function.name.clone()]);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A bar in eighths of a character; what is more than nothing is seen.
fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (part * BAR * 8.0).round().max(1.0) as usize;
    let rest = EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    format!("{}{rest}", "█".repeat(eighths / 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_part() {
        assert_eq!(bar(1.0).chars().count(), 24);
        assert_eq!(bar(0.5), "█".repeat(12));
        assert_eq!(bar(0.51), format!("{}▎", "█".repeat(12)));
        assert_eq!(bar(0.0), "▏");
    }
}
