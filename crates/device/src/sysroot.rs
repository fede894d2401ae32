//! The library for a target whose compiler comes without it, built once from its source.
//!
//! cargo can build `core` along with every program (`-Zbuild-std`), but then does so for each core,
//! optimization level and set of flags, half a minute each time. Here it is built once a target, the way
//! the compiler's makers ship it (for the target's plainest processor, at opt-level 3, with bitcode for
//! link-time optimization), and put where `--sysroot` finds it. Firmware is therefore the same, and as
//! fast to build, as with an installed target.

use crate::cache::BuildFolder;
use crate::source::SourceTree;
use crate::toolchain::Route;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANIFEST: &str = "[package]\nname = \"kinglet-sysroot\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
    [workspace]\n\n[profile.release]\npanic = \"abort\"\ndebug = false\nopt-level = 3\n";

/// Why the library is not there.
pub(crate) enum Fault {
    /// A file could not be written or read.
    Io(io::Error),
    /// cargo failed, with these words.
    Build(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The folder to give as `--sysroot`, built if it is not there. `cargo` makes a command that runs the
/// route's cargo in a clean environment.
pub(crate) fn ensure(
    folder: &BuildFolder,
    route: &Route,
    cargo: impl Fn() -> Command,
) -> Result<PathBuf, Fault> {
    let sysroot = folder.sysroot();
    let library = sysroot.join("lib/rustlib").join(&route.target).join("lib");
    if library.is_dir() {
        return Ok(sysroot);
    }
    let work = folder.work("sysroot");
    let mut tree = SourceTree::new();
    tree.insert("Cargo.toml", MANIFEST);
    tree.insert("src/lib.rs", "#![no_std]\n");
    tree.write(&work)?;
    let target_folder = folder.work("sysroot-target");
    let mut command = cargo();
    command.args(["build", "--release", "--quiet", "--color", "never", "--target", &route.target]);
    command.args([
        "-Zbuild-std=core",
        "-Zbuild-std-features=compiler-builtins-mem",
        "--manifest-path",
    ]);
    command.arg(work.join("Cargo.toml")).current_dir(&work);
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", &target_folder);
    command.env("CARGO_ENCODED_RUSTFLAGS", "-Cembed-bitcode=yes");
    let output = command.output()?;
    if !output.status.success() {
        return Err(Fault::Build(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let built = target_folder.join(&route.target).join("release/deps");
    install(&built, &library)?;
    // The intermediate files are several times as large and of no more use.
    let _ = std::fs::remove_dir_all(&target_folder);
    Ok(sysroot)
}

/// Copies the library's crates to their place, which appears at once and whole.
fn install(built: &Path, library: &Path) -> Result<(), Fault> {
    let parent = library.parent().unwrap_or(library);
    std::fs::create_dir_all(parent)?;
    let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
    let mut found = false;
    for entry in std::fs::read_dir(built)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.contains("kinglet_sysroot") {
            found |= name.starts_with("libcore-");
            std::fs::copy(&path, beside.path().join(&name))?;
        }
    }
    if !found {
        return Err(Fault::Build("cargo built no library `core`".to_owned()));
    }
    std::fs::rename(beside.keep(), library)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_without_core_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let (built, library) = (folder.path().join("deps"), folder.path().join("t/lib"));
        std::fs::create_dir_all(&built).unwrap();
        std::fs::write(built.join("libcompiler_builtins-1.rlib"), "").unwrap();
        assert!(matches!(install(&built, &library), Err(Fault::Build(_))));
        assert!(!library.exists());
        std::fs::write(built.join("libcore-1.rlib"), "").unwrap();
        std::fs::write(built.join("libkinglet_sysroot-1.rlib"), "").unwrap();
        assert!(install(&built, &library).is_ok());
        assert_eq!(std::fs::read_dir(&library).unwrap().count(), 2);
    }
}
