//! What several test files need: the shared models, and small models written on the spot.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

/// The conformance set beside the project. Must be there in CI; elsewhere tests that need it say that
/// they are skipped.
pub fn shared() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/assets"));
    if path.is_dir() {
        return Some(path.to_owned());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "the conformance set is missing");
    println!("skipped: there is no conformance set at ../shared");
    None
}

/// All files under a folder with this extension, sorted.
pub fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
