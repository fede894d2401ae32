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

/// Ends the program with status 130 on Ctrl-C (or SIGTERM), after removing what is half-made.
pub(crate) fn install() {
    // It fails only where a handler is already there, and that one is kept.
    let _ = ctrlc::set_handler(|| {
        let list = list();
        for path in list.iter() {
            let _ = if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            };
        }
        // The list stays locked: nothing new is begun, and no rename.
        eprintln!("\ninterrupted: nothing was left half-written");
        std::process::exit(INTERRUPTED);
    });
}
