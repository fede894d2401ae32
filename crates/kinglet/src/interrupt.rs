//! Ctrl-C: what is half-made is removed, what is whole stays.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The exit status of a program that was interrupted: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Files and folders that mean nothing until they are renamed.
static HALF_MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn list() -> MutexGuard<'static, Vec<PathBuf>> {
    HALF_MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path that Ctrl-C removes for as long as this value lives.
pub(crate) struct HalfMade(PathBuf);

impl HalfMade {
    /// Watches over a path.
    pub(crate) fn new(path: &Path) -> Self {
        list().push(path.to_owned());
        Self(path.to_owned())
    }

    /// Does what must not be cut in two, such as a pair of renames: Ctrl-C waits for it.
    pub(crate) fn undisturbed<T>(&self, work: impl FnOnce() -> T) -> T {
        let _list = list();
        work()
    }
}

impl Drop for HalfMade {
    fn drop(&mut self) {
        list().retain(|path| *path != self.0);
    }
}

/// Removes files and folders as far as it can: nobody is left to hear of a failure.
fn remove(paths: &[PathBuf]) {
    for path in paths {
        let _ =
            if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

/// Ends the program with status 130 on Ctrl-C (or SIGTERM), after removing what is half-made.
pub(crate) fn install() {
    // It fails only where a handler is already there, and that one is kept.
    let _ = ctrlc::set_handler(|| {
        let list = list();
        remove(&list);
        // The list stays locked: nothing new is begun, and no rename.
        eprintln!("\ninterrupted: nothing was left half-written");
        std::process::exit(INTERRUPTED);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_made_is_listed_while_it_is_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (root.path().join("file"), root.path().join("folder"));
        std::fs::write(&file, "half").unwrap();
        std::fs::create_dir_all(folder.join("new/src")).unwrap();
        let guards = [HalfMade::new(&file), HalfMade::new(&folder)];
        // The list is the whole process's: other tests are in it too.
        let own: Vec<PathBuf> =
            list().iter().filter(|path| path.starts_with(root.path())).cloned().collect();
        assert_eq!(own, [file, folder]);
        remove(&own);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        drop(guards);
        assert!(!list().iter().any(|path| path.starts_with(root.path())));
    }
}
