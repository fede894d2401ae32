//! `docs/benchmarks/device.md` shows the figures that `budgets.toml` holds the kernels to: both are measured
//! the same way, and neither is written by hand.

use kinglet::table::bytes;
use kinglet_testkit::measure::Figures;
use kinglet_testkit::peers::{CORES, peers};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Budget {
    speed: Figures,
    size: Option<Figures>,
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).expect("a file of the repository")
}

/// The figures in a model's row: instructions, flash, weights, memory, stack.
fn row(table: &str, model: &str) -> Option<[String; 5]> {
    let start = format!("| {model} |");
    let row = table.lines().find(|line| line.starts_with(&start))?;
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    Some([3, 6, 8, 9, 11].map(|index| cells.get(index).copied().unwrap_or_default().to_owned()))
}

#[test]
fn the_page_shows_the_budgets() {
    let page = read("docs/benchmarks/device.md");
    let budgets: BTreeMap<String, BTreeMap<String, Budget>> =
        toml::from_str(&read("budgets.toml")).expect("budgets");
    let mut compared = 0;
    for core in CORES.iter().filter(|core| core.standard) {
        let title = format!("\n## {}\n", core.name);
        let (_, section) = page.split_once(&title).expect("a section for each core");
        let mut tables = section.split("\n`--optimize ").skip(1);
        let (speed, size) = (tables.next().expect("a table"), tables.next().expect("a table"));
        assert!(speed.starts_with("speed`") && size.starts_with("size`"));
        for peer in &peers().models {
            let budget = &budgets[&peer.file][core.key];
            for (table, figures) in [(speed, Some(budget.speed)), (size, budget.size)] {
                let Some(figures) = figures else { continue };
                let held = [
                    figures.instructions,
                    figures.flash_without_weights,
                    figures.weights,
                    figures.arena_and_state,
                    figures.stack,
                ];
                assert_eq!(
                    row(table, &peer.name),
                    Some(held.map(bytes)),
                    "{} on {}: run `cargo xtask budgets --bless` and `cargo xtask device-bench --write`",
                    peer.name,
                    core.name
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 9 * 5);
}
