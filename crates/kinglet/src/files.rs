//! Writing files so that nothing is ever half-written: beside, then renamed.

use crate::interrupt::HalfMade;
use kinglet_codegen::File;
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use std::io::Write;
use std::path::Path;

/// The file that marks a folder as written by `kinglet compile`, so that it may be replaced.
const MARKER: &str = "kinglet.json";

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Diagnostic::error(code::OUTPUT_UNWRITABLE, format!("the output cannot be written: {error}"))
        .at(Place::File(path.display().to_string()))
        .help("free space or choose a place that can be written; nothing was left half-written")
        .into()
}

/// The folder a path is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// `K0807` when it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |error: &std::io::Error| unwritable(path, error);
    let mut file = tempfile::NamedTempFile::new_in(parent(path)).map_err(|e| fail(&e))?;
    let half_made = HalfMade::new(file.path());
    file.write_all(bytes).and_then(|()| file.flush()).map_err(|e| fail(&e))?;
    let file = half_made.undisturbed(|| file.persist(path)).map_err(|e| fail(&e.error))?;
    // A file made for this purpose is private to its owner; an output is not.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = file.set_permissions(std::fs::Permissions::from_mode(0o644));
    }
    drop(file);
    Ok(())
}

/// Writes a folder whole or not at all. An existing folder is replaced when it was written by this
/// function, and refused otherwise.
///
/// # Errors
/// `K0807` when it cannot be written, `K0809` when the folder holds something else.
pub fn write_folder(path: &Path, files: &[File]) -> Result<()> {
    let fail = |error: &std::io::Error| unwritable(path, error);
    if path.exists() && !path.join(MARKER).is_file() {
        let mut entries = std::fs::read_dir(path).map_err(|e| fail(&e))?;
        if entries.next().is_some() {
            return Err(Diagnostic::error(
                code::FOLDER_TAKEN,
                "the folder holds files that Kinglet did not write",
            )
            .at(Place::File(path.display().to_string()))
            .help("choose a new folder, or empty this one yourself")
            .into());
        }
    }
    std::fs::create_dir_all(parent(path)).map_err(|e| fail(&e))?;
    let staging = tempfile::Builder::new()
        .prefix(".kinglet-")
        .tempdir_in(parent(path))
        .map_err(|e| fail(&e))?;
    let half_made = HalfMade::new(staging.path());
    let fresh = staging.path().join("new");
    for file in files {
        let target = fresh.join(&file.path);
        std::fs::create_dir_all(parent(&target)).map_err(|e| fail(&e))?;
        std::fs::write(&target, &file.bytes).map_err(|e| fail(&e))?;
    }
    let list: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let marker = serde_json::json!({ "schema": "kinglet.crate/1", "files": list });
    std::fs::write(fresh.join(MARKER), format!("{marker:#}\n")).map_err(|e| fail(&e))?;
    half_made
        .undisturbed(|| {
            if path.exists() {
                // The old folder goes with the staging folder.
                std::fs::rename(path, staging.path().join("old"))?;
            }
            std::fs::rename(&fresh, path)
        })
        .map_err(|e| fail(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_folder_is_replaced_only_when_it_is_ours() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("out");
        write_folder(&folder, &[file("src/a.rs", "1")]).unwrap();
        write_folder(&folder, &[file("src/b.rs", "2")]).unwrap();
        assert!(!folder.join("src/a.rs").exists());
        assert_eq!(std::fs::read_to_string(folder.join("src/b.rs")).unwrap(), "2");

        let foreign = root.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("thesis.txt"), "mine").unwrap();
        let failure = write_folder(&foreign, &[file("src/a.rs", "1")]).unwrap_err();
        assert_eq!(failure.first().code, code::FOLDER_TAKEN);
        assert_eq!(std::fs::read_to_string(foreign.join("thesis.txt")).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_environment_failure() {
        let failure = write(Path::new("/nonexistent-folder/x/y.npz"), b"1").unwrap_err();
        assert_eq!(failure.first().code, code::OUTPUT_UNWRITABLE);
        assert_eq!(failure.class().exit_code(), 3);
    }
}
