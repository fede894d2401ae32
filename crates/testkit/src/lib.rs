//! Goldens made by other people's runtimes, and comparison with them.
//!
//! The conformance set stands beside the repository, at `../shared/assets`; a lone clone does without.
//! With `CI=true` in the environment its absence is a failure.

pub mod bench;
pub mod conform;
pub mod filetest;
pub mod matrix;
pub mod measure;
pub mod peers;

use std::path::{Path, PathBuf};

/// The conformance set's folder, if it is there.
///
/// # Panics
/// When it is absent and `CI=true`.
pub fn assets() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/assets");
    if path.join("cases").is_dir() {
        return Some(path);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "the conformance set ../shared/assets is missing and CI=true");
    println!("skipped: the conformance set ../shared/assets is not here");
    None
}
