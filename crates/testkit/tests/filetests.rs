//! Every case under `tests/ops` and `tests/passes`, found by walking. `KINGLET_FILES=text` runs those
//! whose path has that text in it; `KINGLET_BLESS=1` writes what came out in place of expectations.

use kinglet_testkit::filetest;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The cases below a folder, sorted: `FOLDER/NAME/CASE.kgt`.
fn cases(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&root).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        if !path.is_dir() {
            assert_eq!(path.file_name(), Some(OsStr::new("README.md")), "{}", path.display());
            continue;
        }
        for case in std::fs::read_dir(&path).expect("a folder of cases") {
            let case = case.expect("an entry").path();
            let is_case = case.extension() == Some(OsStr::new("kgt"));
            assert!(is_case, "{} is no case: its name must end in .kgt", case.display());
            found.push(case);
        }
    }
    found.sort();
    found
}

fn check_all(folder: &str, is_known: fn(&str) -> bool) {
    let filter = std::env::var("KINGLET_FILES").unwrap_or_default();
    let bless = std::env::var_os("KINGLET_BLESS").is_some_and(|value| value == "1");
    let mut faults = Vec::new();
    let mut count = 0;
    for path in cases(folder) {
        let shown = path.components().rev().take(3).collect::<Vec<_>>();
        let shown: PathBuf = shown.into_iter().rev().collect();
        let shown = shown.display().to_string();
        if !shown.contains(&filter) {
            continue;
        }
        count += 1;
        let group = path.parent().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or("");
        assert!(is_known(group), "the folder of {shown} has the name of nothing that is tested");
        let source = std::fs::read_to_string(&path).expect("a text file");
        let outcome = filetest::check(&source);
        faults.extend(outcome.faults.iter().map(|fault| format!("{shown}: {fault}")));
        if bless && outcome.blessed != source {
            std::fs::write(&path, &outcome.blessed).expect("the case is written");
        }
    }
    println!("{count} cases under tests/{folder}");
    assert!(faults.is_empty(), "{}\n{} faults", faults.join("\n"), faults.len());
    assert!(count > 0 || !filter.is_empty(), "there are no cases");
}

#[test]
fn operators() {
    check_all("ops", |name| kinglet_ops::by_name(name).is_some());
}

#[test]
fn passes() {
    check_all("passes", |name| name == "standard" || kinglet_passes::by_name(name).is_some());
}
