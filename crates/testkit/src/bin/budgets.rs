//! Exact figures on emulated cores against `budgets.toml`: one percent worse fails.
//!
//! `budgets [--bless] [--core CORE ...] [SUBSTRING ...]`. Both settings on the M4; on the M55, M0+ and RV32IMC
//! the speed setting alone, to keep the run short. Each entry is of one linked program.

use kinglet::model::Model;
use kinglet_testkit::measure::{Figures, Setting, measure};
use kinglet_testkit::peers::{CORES, Core, peers};
use kinglet_testkit::{all_or_errors, two_at_a_time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How much worse a figure may be.
const ALLOWED: f64 = 1.01;

/// The core whose size setting has a budget too.
const BOTH: &str = "m4";

/// Figures of one model on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    speed: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<Figures>,
}

/// By model, then by core.
type Budgets = BTreeMap<String, BTreeMap<String, Budget>>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("budgets: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, String> {
    let (mut bless, mut cores, mut wanted) = (false, Vec::new(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bless" => bless = true,
            "--core" => cores.extend(args.next()),
            other if other.starts_with("--") => return Err(format!("unknown argument {other}")),
            _ => wanted.push(arg),
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("budgets.toml");
    let mut budgets = read(&file, bless)?;

    let mut models: Vec<PathBuf> = vec![root.join("models/machine_state/machine_state.tflite")];
    if let Some(assets) = kinglet_testkit::assets() {
        models.extend(peers().models.iter().map(|peer| peer.path(&assets)));
    }
    let mut work = Vec::new();
    for core in CORES.iter().filter(|core| core.standard) {
        if !cores.is_empty() && !cores.iter().any(|key| key == core.key) {
            continue;
        }
        for path in &models {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
                work.push((*core, name, path));
            }
        }
    }
    println!(
        "{:24} {:8} {:6} {:>12} {:>8} {:>8} {:>8} {:>6}",
        "model", "core", "", "instructions", "flash", "weights", "RAM", "stack"
    );
    let measured = two_at_a_time(work, |(core, name, path)| match budget(path, core) {
        Ok(found) => {
            show(&name, core, &found);
            Ok((core, name, found))
        }
        Err(failure) => Err(format!("{name} on {}: {failure}", core.name)),
    });
    let found = all_or_errors(measured)?;
    let mut good = true;
    for (core, name, found) in found {
        let known = budgets.entry(name.clone()).or_default();
        if bless {
            known.insert(core.key.to_owned(), found);
            continue;
        }
        let over = match known.get(core.key) {
            None => vec!["there is no budget: run with --bless".to_owned()],
            Some(budget) => over(&found, budget),
        };
        for what in over {
            println!("  {name} on {}: {what}", core.name);
            good = false;
        }
    }
    if bless {
        let head = "# Exact figures on emulated cores. One percent worse fails.\n\
                    # Rewritten by: cargo xtask budgets --bless\n\n";
        let body = toml::to_string(&budgets).map_err(|error| error.to_string())?;
        std::fs::write(&file, format!("{head}{body}")).map_err(|error| error.to_string())?;
        println!(
            "docs/benchmarks/device.md shows the same figures: cargo xtask device-bench --write"
        );
    }
    println!("{}", if good { "within the budgets" } else { "OVER BUDGET" });
    Ok(good)
}

/// The committed budgets; a file that cannot be read starts anew when it is to be rewritten.
fn read(file: &Path, bless: bool) -> Result<Budgets, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    match toml::from_str(&text) {
        Ok(budgets) => Ok(budgets),
        Err(_) if bless => Ok(Budgets::new()),
        Err(error) => Err(format!("budgets.toml: {error}")),
    }
}

fn budget(path: &Path, core: Core) -> Result<Budget, kinglet::Failure> {
    let model = Model::open(path)?;
    let speed = measure(&model, core.board, Setting::Speed)?;
    let size = match core.key == BOTH {
        true => Some(measure(&model, core.board, Setting::Size)?),
        false => None,
    };
    Ok(Budget { speed, size })
}

fn show(name: &str, core: Core, found: &Budget) {
    for (setting, figures) in [("speed", Some(&found.speed)), ("size", found.size.as_ref())] {
        let Some(figures) = figures else { continue };
        println!(
            "{name:24} {:8} {setting:6} {:>12} {:>8} {:>8} {:>8} {:>6}",
            core.key,
            figures.instructions,
            figures.flash_without_weights,
            figures.weights,
            figures.arena_and_state,
            figures.stack
        );
    }
}

/// What is worse than the budget allows.
fn over(found: &Budget, budget: &Budget) -> Vec<String> {
    let mut over = Vec::new();
    for (setting, found, budget) in [
        ("speed", Some(&found.speed), Some(&budget.speed)),
        ("size", found.size.as_ref(), budget.size.as_ref()),
    ] {
        let (Some(found), Some(budget)) = (found, budget) else { continue };
        for (what, now, limit) in [
            ("instructions", found.instructions, budget.instructions),
            ("flash", found.flash_without_weights, budget.flash_without_weights),
            ("weights", found.weights, budget.weights),
            ("arena and state", found.arena_and_state, budget.arena_and_state),
            ("stack", found.stack, budget.stack),
        ] {
            if now as f64 > limit as f64 * ALLOWED {
                over.push(format!("{what} ({setting}) is {now}, the budget is {limit}"));
            }
        }
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_percent_is_allowed_and_no_more() {
        let figures = |instructions| Figures {
            instructions,
            flash_without_weights: 100,
            weights: 100,
            arena_and_state: 100,
            stack: 100,
        };
        let budget = Budget { speed: figures(1_000), size: Some(figures(1_000)) };
        let allowed = Budget { speed: figures(1_010), size: Some(figures(10)) };
        assert_eq!(over(&allowed, &budget), Vec::<String>::new());
        let worse = Budget { speed: figures(1_011), size: Some(figures(1_000)) };
        let over = over(&worse, &budget);
        assert_eq!(over, ["instructions (speed) is 1011, the budget is 1000"]);
    }
}
