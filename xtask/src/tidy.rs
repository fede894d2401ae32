//! Rules that the compiler does not check; each failure names the file and the rule.

use crate::run::{Outcome, Program, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lines a source file may have: "about 600", and no more than this.
const LINES: usize = 650;

pub(crate) fn tidy() -> Outcome {
    let files = tracked()?;
    let mut faults = Vec::new();
    layers(&mut faults)?;
    operators(&mut faults)?;
    sizes(&files, &mut faults);
    codes(&files, &mut faults)?;
    unsafe_places(&files, &mut faults);
    paths(&files, &mut faults);
    if faults.is_empty() {
        println!("tidy: {} files, nothing to complain about", files.len());
        return Ok(());
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    Err(format!("{} faults", faults.len()))
}

/// The files git tracks, or would.
fn tracked() -> Outcome<Vec<PathBuf>> {
    let listed = Program::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .output()
        .ok_or("git cannot list the files")?;
    let root = root();
    Ok(listed.lines().map(|line| root.join(line)).filter(|path| path.is_file()).collect())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The crate table in ARCHITECTURE.md and what the manifests say.
fn layers(faults: &mut Vec<String>) -> Outcome {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md"))
        .map_err(|error| format!("ARCHITECTURE.md cannot be read: {error}"))?;
    let mut table: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", layer, name, _, uses, ""] = cells[..] {
            let name = name.trim_matches('`');
            if layer.len() == 1 && layer != "-" && !name.is_empty() {
                let uses = uses.split(',').map(|u| u.trim().trim_matches('`').to_owned());
                table.insert(name.to_owned(), (layer.to_owned(), uses.collect()));
            }
        }
    }
    let metadata = Program::cargo()
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .or_else(|| {
            Program::cargo().args(["metadata", "--format-version", "1", "--no-deps"]).output()
        })
        .ok_or("cargo metadata failed")?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let full = package["name"].as_str().unwrap_or_default();
        let name = full.strip_prefix("kinglet-").unwrap_or(full);
        if matches!(name, "testkit" | "xtask") {
            continue;
        }
        let Some((_, allowed)) = table.get(name) else {
            faults.push(format!("crate {name} is not in ARCHITECTURE.md's table"));
            continue;
        };
        let allowed = reachable(&table, allowed);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let is_dev = dependency["kind"].as_str() == Some("dev");
            let Some(used) = used.strip_prefix("kinglet-") else { continue };
            if !is_dev && !allowed.contains(used) && !allowed.contains("all") {
                faults.push(format!(
                    "crate {name} uses {used}: ARCHITECTURE.md's table does not allow it"
                ));
            }
        }
    }
    Ok(())
}

/// What a crate may use: those named, and what they may use.
fn reachable(
    table: &BTreeMap<String, (String, BTreeSet<String>)>,
    named: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut all = named.clone();
    let mut todo: Vec<String> = named.iter().cloned().collect();
    while let Some(name) = todo.pop() {
        for used in table.get(&name).into_iter().flat_map(|(_, uses)| uses) {
            if all.insert(used.clone()) {
                todo.push(used.clone());
            }
        }
    }
    all
}

/// Each operator is one file and one line of the list, and has cases.
fn operators(faults: &mut Vec<String>) -> Outcome {
    let list =
        fs::read_to_string(root().join("crates/ops/src/lib.rs")).map_err(|e| e.to_string())?;
    let names = list.split_once("\noperators! {").and_then(|(_, rest)| rest.split_once('}'));
    let names: Vec<&str> =
        names.map(|(names, _)| names.split_whitespace().collect()).unwrap_or_default();
    if names.is_empty() {
        return Err("the list of operators was not found in crates/ops/src/lib.rs".to_owned());
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    if sorted != names {
        faults.push("crates/ops/src/lib.rs: the list of operators is not sorted".to_owned());
    }
    for name in names {
        let cases = root().join("tests/ops").join(name);
        if !fs::read_dir(&cases).is_ok_and(|mut entries| entries.next().is_some()) {
            faults.push(format!("operator {name} has no cases in tests/ops/{name}"));
        }
    }
    Ok(())
}

fn sizes(files: &[PathBuf], faults: &mut Vec<String>) {
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let lines = fs::read_to_string(path).map_or(0, |text| text.lines().count());
        if lines > LINES {
            faults.push(format!("{}: {lines} lines, more than {LINES}", shown(path)));
        }
    }
}

/// Every diagnostic code has a test that produces it.
fn codes(files: &[PathBuf], faults: &mut Vec<String>) -> Outcome {
    let list =
        fs::read_to_string(root().join("crates/diag/src/codes.rs")).map_err(|e| e.to_string())?;
    let entries = list.lines().filter_map(|line| {
        let mut words = line.trim().strip_suffix(';')?.split_whitespace();
        let (code, name) = (words.next()?, words.next()?);
        let is_code = code.len() == 5
            && code.starts_with('K')
            && code[1..].bytes().all(|b| b.is_ascii_digit());
        is_code.then(|| (code.to_owned(), name.to_owned()))
    });
    let entries: Vec<_> = entries.collect();
    let mut tests = String::new();
    for path in files {
        let name = shown(path);
        let Ok(text) = fs::read_to_string(path) else { continue };
        if name.contains("/tests/") || name.starts_with("tests/") || name.ends_with("tests.rs") {
            tests.push_str(&text);
        } else if let Some((_, test)) = text.split_once("#[cfg(test)]") {
            tests.push_str(test);
        }
    }
    for (code, name) in entries {
        // The code for our own bugs is what a panic prints; nothing is meant to produce it.
        let produced = tests.contains(&format!("code::{name}")) || tests.contains(&code);
        if code != "K0001" && !produced {
            faults.push(format!("{code} ({name}) has no test that produces it"));
        }
    }
    Ok(())
}

/// `unsafe` stands only where ARCHITECTURE.md allows it.
fn unsafe_places(files: &[PathBuf], faults: &mut Vec<String>) {
    // Printed text and templates are firmware around a model, not part of the tool.
    let allowed = [
        "crates/kernels/src/arch/",
        "crates/device/templates/",
        "crates/codegen/src/source.rs",
        "crates/codegen/src/c/shim.rs",
    ];
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let name = shown(path);
        let Ok(text) = fs::read_to_string(path) else { continue };
        if name.starts_with("xtask/") || allowed.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        for (index, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let opens = code.contains("unsafe {")
                || code.contains("unsafe fn")
                || code.contains("unsafe impl");
            if opens && !code.contains('"') {
                faults.push(format!("{name}:{}: unsafe outside its places", index + 1));
            }
        }
    }
}

/// No path of somebody's machine.
fn paths(files: &[PathBuf], faults: &mut Vec<String>) {
    let homes = [
        ["/ro", "ot/"].concat(),
        ["/ho", "me/"].concat(),
        ["/wo", "rk/"].concat(),
        ["/tm", "p/"].concat(),
    ];
    for path in files {
        let Ok(text) = fs::read_to_string(path) else { continue };
        for (index, line) in text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home.as_str())) {
                faults.push(format!("{}:{}: a path of one machine", shown(path), index + 1));
            }
        }
    }
}
