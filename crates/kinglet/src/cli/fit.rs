//! `kinglet fit MODEL --board B...`

use super::{Done, Progress, Show};
use crate::fit::Fitting;
use crate::model::Model;
use crate::table::{Align, Table, bytes, short};
use crate::timeline::shared;
use kinglet_decide::{Basis, FitReport, Memory, Optimize, Settings, Verdict};
use kinglet_diag::{Diagnostic, Result};
use serde_json::json;
use std::path::PathBuf;

/// Say whether a model fits boards, what is missing by how much, and what would help
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing is built: arena, state and weights are exact, code and stack come from a measured
table, with its error. --measure builds the example for the board, runs it once in the emulator,
and takes every figure from the linked program and the painted stack. RAM is judged by the
largest contiguous region, less what the board reserves. Exit status 1 when any board says no.

Examples:
  kinglet fit model.tflite --board nucleo-f446re
  kinglet fit model.tflite -b microbit-v2 -b raspberry-pi-pico -b stm32f746g-disco
  kinglet fit model.tflite --board mps2-an386 --measure --optimize size
  kinglet fit model.tflite --board ./my-board.toml --json")]
pub struct Args {
    /// The model
    model: PathBuf,
    /// A board by name, or a .toml file of your own; may be given several times
    #[arg(short, long = "board", value_name = "BOARD", required = true)]
    boards: Vec<String>,
    /// Build the example and take every figure from it
    #[arg(long)]
    measure: bool,
    /// What the compiler optimizes for
    #[arg(long, default_value = "speed", value_parser = ["speed", "size"])]
    optimize: String,
    /// Accept floating point by library calls on a core without a unit for it
    #[arg(long)]
    soft_float: bool,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    // A wrong name is said before a large model is read.
    let mut boards = Vec::new();
    for name in &args.boards {
        boards.push(kinglet_boards::open(name)?);
    }
    let model = Model::open(&args.model)?;
    let optimize = if args.optimize == "size" { Optimize::Size } else { Optimize::Speed };
    let settings = Settings { optimize, soft_float: args.soft_float, check: true };
    let mut fitting = Fitting::new(&model, settings);
    let mut reports = Vec::new();
    let mut remarks: Vec<Diagnostic> = model.remarks.clone();
    for board in &boards {
        let report = if args.measure {
            let _progress =
                Progress::start(show, format!("building and running the example for {}", board.id));
            let (report, notes) = fitting.measure(board)?;
            remarks.extend(notes);
            report
        } else {
            fitting.predict(board)?
        };
        remarks.extend(report.warnings.iter().cloned());
        reports.push(report);
    }
    show.text(&text(&model, &reports));
    show.object(
        "kinglet.fit/1",
        json!({
            "model": model.path.display().to_string(),
            "model_sha256": model.digest,
            "fits": reports.iter().all(|report| report.verdict == Verdict::Fits),
            "nearest_miss": nearest_miss(&reports).map(|report| json!({
                "board": report.board.id,
                "missing": report.missing(),
            })),
            "boards": reports,
        }),
    );
    let no = reports.iter().any(|report| report.verdict != Verdict::Fits);
    Ok(Done { no, remarks, ..Done::default() })
}

/// Where no board has room: the one that lacks the least. Boards that were refused for another reason lack
/// nothing.
fn nearest_miss(reports: &[FitReport]) -> Option<&FitReport> {
    if reports.iter().any(|report| report.verdict == Verdict::Fits) {
        return None;
    }
    let large = reports.iter().filter(|report| report.verdict == Verdict::TooLarge);
    large.min_by_key(|report| report.missing())
}

/// One line a board, then what there is to say of each that does not fit, or of the only one.
fn text(model: &Model, reports: &[FitReport]) -> String {
    let mut table = Table::new(&[
        ("board", Align::Left),
        ("verdict", Align::Left),
        ("RAM needed", Align::Right),
        ("of", Align::Right),
        ("in", Align::Left),
        ("flash needed", Align::Right),
        ("of", Align::Right),
        ("", Align::Left),
    ]);
    for report in reports {
        let (flash, of) = report.flash.as_ref().map_or(("-".to_owned(), "-".to_owned()), |flash| {
            (about(flash.needed, flash.error), bytes(flash.available))
        });
        table.row([
            report.board.id.clone(),
            verdict(report.verdict).to_owned(),
            about(report.ram.needed, report.ram.error),
            bytes(report.ram.available),
            report.ram.region.clone(),
            flash,
            of,
            if report.verdict == Verdict::Fits { String::new() } else { report.answer.clone() },
        ]);
    }
    let basis = match reports.first().map(|report| report.basis) {
        Some(Basis::Measured) => "measured on the linked example",
        _ => "predicted, nothing was built",
    };
    let mut text = format!("{}: {basis}\n\n{table}", model.path.display());
    if let (Some(report), true) = (nearest_miss(reports), reports.len() > 1) {
        text.push_str(&format!("\nnearest miss: {}: {}\n", report.board.id, report.answer));
    }
    for report in reports {
        if reports.len() == 1 || report.verdict != Verdict::Fits {
            text.push('\n');
            detail(&mut text, report);
        }
    }
    text
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "fits",
        Verdict::TooLarge => "NO",
        Verdict::Refused => "REFUSED",
    }
}

/// Bytes, marked where they are an estimate.
fn about(count: u64, error: u64) -> String {
    if error > 0 { format!("~{}", bytes(count)) } else { bytes(count) }
}

fn detail(text: &mut String, report: &FitReport) {
    text.push_str(&format!("{} ({}): {}\n", report.board.id, report.board.core, report.answer));
    memory(text, "RAM", &report.ram);
    if let Some(flash) = &report.flash {
        memory(text, "flash", flash);
    }
    for elsewhere in &report.elsewhere {
        memory(text, "also", elsewhere);
    }
    if let Some(peak) = &report.peak {
        text.push_str(&format!(
            "  peak   {} bytes at step {}, node {}{}\n",
            bytes(peak.bytes),
            peak.step,
            short(&peak.label),
            shared(peak)
        ));
        for tensor in &peak.tensors {
            text.push_str(&format!(
                "         {:>10}  {} {}\n",
                bytes(tensor.bytes),
                tensor.ty,
                short(&tensor.name)
            ));
        }
    }
    for note in &report.notes {
        text.push_str(&format!("  note   {note}\n"));
    }
    if !report.remedies.is_empty() {
        text.push_str("  what would help\n");
    }
    for remedy in &report.remedies {
        let mark = if remedy.enough { "+" } else { "-" };
        let mut saves = Vec::new();
        for (count, what) in [(remedy.saves.ram, "RAM"), (remedy.saves.flash, "flash")] {
            if count > 0 {
                let about = if remedy.estimate { "about " } else { "" };
                saves.push(format!("{about}{} bytes of {what}", bytes(count)));
            }
        }
        let saves = if saves.is_empty() {
            String::new()
        } else {
            format!(": saves {}", saves.join(" and "))
        };
        text.push_str(&format!("  {mark} {}{saves}\n", remedy.what));
    }
    if report.remedies.iter().any(|remedy| remedy.enough) {
        text.push_str("  (+ is enough by itself)\n");
    }
}

fn memory(text: &mut String, name: &str, memory: &Memory) {
    let parts: Vec<String> = memory
        .parts
        .iter()
        .filter(|part| part.bytes > 0)
        .map(|part| format!("{} {}", part.name, bytes(part.bytes)))
        .collect();
    let error =
        if memory.error > 0 { format!(" (±{})", bytes(memory.error)) } else { String::new() };
    text.push_str(&format!(
        "  {name:<6} {}{error} = {}\n",
        bytes(memory.needed),
        parts.join(" + ")
    ));
    let reserved: Vec<String> = memory
        .reserved
        .iter()
        .map(|one| format!("{} for {}", bytes(one.bytes), one.what))
        .collect();
    let reserved =
        if reserved.is_empty() { String::new() } else { format!(" less {}", reserved.join(", ")) };
    let rest = match memory.missing {
        0 => format!("{} free", bytes(memory.free)),
        missing => format!("{} MISSING", bytes(missing)),
    };
    text.push_str(&format!(
        "         {} has {}{reserved}: {rest}\n",
        memory.region,
        bytes(memory.region_bytes)
    ));
}
