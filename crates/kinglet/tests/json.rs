//! Every command's `--json` has exactly the keys of its page under `docs/json/`. `KINGLET_BLESS=1` rewrites
//! the pages' examples.

mod common;

use common::can_emulate;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The pages by name, without the index.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(repository("docs/json")).expect("docs/json").flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != "README" {
            pages.push((name, std::fs::read_to_string(&path).expect("a page")));
        }
    }
    pages.sort();
    pages
}

/// The tables of a page: what they are about (empty for the object itself), and the keys.
fn tables(page: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut tables: Vec<(String, BTreeSet<String>)> = vec![(String::new(), BTreeSet::new())];
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            tables.push((title.to_owned(), BTreeSet::new()));
        } else if let Some(row) = line.strip_prefix("| `")
            && let Some((key, _)) = row.split_once("` |")
            && let Some((_, keys)) = tables.last_mut()
        {
            keys.insert(key.to_owned());
        }
    }
    tables.retain(|(_, keys)| !keys.is_empty());
    tables
}

/// Every object under this key, wherever it is; the elements of a list one by one.
fn objects<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner {
                    Value::Object(_) if name == key => found.push(inner),
                    Value::Array(list) if name == key => {
                        found.extend(list.iter().filter(|element| element.is_object()));
                    }
                    _ => {}
                }
                objects(inner, key, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|element| objects(element, key, found)),
        _ => {}
    }
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

/// Runs the command of a page's example where the model and its vectors are.
fn run(page: &str, folder: &Path) -> Value {
    let example = page.split("## Example\n\n`").nth(1).expect("an example");
    let command =
        example.split('`').next().expect("a command").replace("MODEL", "machine_state.tflite");
    let args: Vec<&str> = command.split(' ').skip(1).collect();
    let mut program = Command::new(env!("CARGO_BIN_EXE_kinglet"));
    program.args(&args).current_dir(folder);
    if !needs_emulator(page) {
        program.env("KINGLET_CACHE", folder.join("cache"));
    }
    let output = program.output().expect("kinglet starts");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{command}: {error}: {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// Whether the page's command builds firmware and runs it: then it uses the cache that is there.
fn needs_emulator(page: &str) -> bool {
    page.starts_with("# kinglet.profile/")
}

/// Long lists cut to two elements, and no place of this machine.
fn shorten(value: &mut Value, places: &[(String, &str)]) {
    match value {
        Value::Array(list) => {
            if list.len() > 6 {
                list.truncate(2);
            }
            list.iter_mut().for_each(|element| shorten(element, places));
        }
        Value::Object(map) => map.values_mut().for_each(|inner| shorten(inner, places)),
        Value::String(text) => {
            for (from, to) in places {
                *text = text.replace(from, to);
            }
            if text.chars().count() > 240 {
                *text = text.chars().take(240).chain("...".chars()).collect();
            }
        }
        _ => {}
    }
}

#[test]
fn every_command_prints_the_keys_of_its_page() {
    let folder = tempfile::tempdir().expect("a folder");
    for file in ["machine_state.tflite", "vectors.npz"] {
        let from = repository("models/machine_state").join(file);
        std::fs::copy(from, folder.path().join(file)).expect("the project's model");
    }
    let pages = pages();
    assert!(pages.len() >= 12, "only {} pages", pages.len());
    for (name, page) in pages {
        if needs_emulator(&page) && !can_emulate() {
            continue;
        }
        let value = run(&page, folder.path());
        let schema = format!("kinglet.{name}/1");
        assert_eq!(value["schema"], schema.as_str());
        assert!(page.starts_with(&format!("# {schema}\n")), "{name}.md has another title");
        for (about, documented) in tables(&page) {
            if about.is_empty() {
                assert_eq!(keys(&value), documented, "{name}.md");
                continue;
            }
            for key in about.split(", ") {
                let key = key.trim_matches('`').trim_end_matches("[]");
                let mut found = Vec::new();
                objects(&value, key, &mut found);
                for object in found {
                    assert_eq!(keys(object), documented, "{name}.md, {about}");
                }
            }
        }
        let (before, example) = page.split_once("```json\n").expect("an example");
        let (example, after) = example.split_once("\n```").expect("its end");
        if std::env::var_os("KINGLET_BLESS").is_some() {
            let mut value = value;
            let home = std::env::var("HOME").unwrap_or_else(|_| "~".to_owned());
            let places = [(folder.path().display().to_string(), "~"), (home, "~")];
            shorten(&mut value, &places);
            let text = format!("{before}```json\n{value:#}\n```{after}");
            let path = repository("docs/json").join(format!("{name}.md"));
            std::fs::write(path, text).expect("the page is written");
        } else {
            let shown: Value = serde_json::from_str(example).expect("the example is JSON");
            assert_eq!(keys(&shown), keys(&value), "{name}.md has an old example: KINGLET_BLESS=1");
        }
    }
}

#[test]
fn the_index_names_every_page() {
    let index = std::fs::read_to_string(repository("docs/json/README.md")).expect("the index");
    for (name, _) in pages() {
        assert!(
            index.contains(&format!("[{name}.md]({name}.md)")),
            "{name}.md is not in README.md"
        );
    }
}
