//! Measures the table that `fit` predicts code and stack from, and writes it.
//!
//! `code-table [--board B ...] [--check] [FILE ...]`. Without boards, every core of the device matrix;
//! without files, the project's own models and, where it is there, the conformance set. Entries of
//! other cores stay as they are. With `--check` nothing is written: code and stack of each model, predicted
//! and linked.

use kinglet::measure::{code_table, predicted_and_linked};
use kinglet::model::Model;
use kinglet_boards::Board;
use kinglet_decide::{CodeTable, Optimize};
use kinglet_diag::Result;
use kinglet_testkit::conform::models;
use kinglet_testkit::matrix::BOARDS;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Larger models tell nothing new of code, and take long to run.
const LARGEST_FILE: usize = 700 << 10;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("code-table: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let mut ids: Vec<String> = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut check = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--board" => ids.extend(args.next()),
            "--check" => check = true,
            file => files.push(file.into()),
        }
    }
    if ids.is_empty() {
        ids.extend(BOARDS.iter().map(|id| (*id).to_owned()));
    }
    if files.is_empty() {
        files = models(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models"));
        if let Some(assets) = kinglet_testkit::assets() {
            files.extend(models(&assets.join("models")));
        }
        // Two hundred single operators of one model, int16 most of them, would outvote the rest.
        files.retain(|path| !path.components().any(|part| part.as_os_str() == "seanet"));
    }
    let models: Vec<Model> = files
        .iter()
        .filter_map(|path| Model::open(path).ok())
        .filter(|model| model.bytes <= LARGEST_FILE)
        .collect();
    let boards: Vec<&Board> =
        ids.iter().map(|id| kinglet_boards::find(id)).collect::<Result<_>>()?;
    if check {
        return Ok(compare(&models, &boards));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../decide/data/code.toml");
    let unusable = |why: String| kinglet_diag::bug(format!("{}: {why}", path.display()));
    for board in boards {
        let fresh = code_table(&models, &[board], &mut |line| println!("{line}"))?;
        // After each core, so that a run that is broken off leaves what it has.
        let text = std::fs::read_to_string(&path).map_err(|error| unusable(error.to_string()))?;
        let mut table = CodeTable::parse(&text).unwrap_or_default();
        table.compiler = fresh.compiler;
        for entry in fresh.entries {
            table.entries.retain(|old| (&old.core, &old.level) != (&entry.core, &entry.level));
            table.entries.push(entry);
        }
        table.entries.sort_by(|a, b| (&a.core, &a.level).cmp(&(&b.core, &b.level)));
        std::fs::write(&path, table.to_toml()).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(true)
}

/// Predicted against linked, for each model and board; `false` when one is off by more than a tenth and more
/// than 1 KB.
fn compare(models: &[Model], boards: &[&Board]) -> bool {
    let mut good = true;
    for board in boards {
        for optimize in [Optimize::Size, Optimize::Speed] {
            for model in models {
                let what =
                    format!("{} {} {}", board.core.id, optimize.level(), model.path.display());
                match predicted_and_linked(model, board, optimize) {
                    Ok((needs, linked)) => {
                        let off = needs.code.abs_diff(linked.code);
                        let bad = off > 1024 && off * 10 > linked.code;
                        good &= !bad;
                        println!(
                            "{}{what}: code {} for {}, stack {} for {}",
                            if bad { "OFF " } else { "ok  " },
                            needs.code,
                            linked.code,
                            needs.stack,
                            linked.stack
                        );
                    }
                    Err(failure) => println!("skip {what}: {failure}"),
                }
            }
        }
    }
    good
}
