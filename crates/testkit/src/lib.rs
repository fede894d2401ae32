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
pub mod properties;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

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

/// Does the work two pieces at a time, so that one builds while the other runs; the results in the order of the
/// pieces.
///
/// # Panics
/// When a piece of the work does.
pub fn two_at_a_time<W: Send, R: Send>(
    work: impl IntoIterator<Item = W>,
    each: impl Fn(W) -> R + Sync,
) -> Vec<R> {
    let queue: Vec<(usize, W)> = work.into_iter().enumerate().collect();
    let queue = Mutex::new(queue.into_iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let turn = || {
        let mut done = Vec::new();
        while let Some((index, piece)) = next() {
            done.push((index, each(piece)));
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads = [scope.spawn(turn), scope.spawn(turn)];
        threads
            .into_iter()
            .flat_map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// All results, or all that went wrong, a line each.
///
/// # Errors
/// When one is an error.
pub fn all_or_errors<T>(results: Vec<Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(why) => bad.push(why),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad.join("\n")) }
}

/// A number from the commit, or 1: what random tests start from, so that each commit has others.
pub fn commit() -> u64 {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let hash = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let hash = hash.unwrap_or_default();
    hash.get(..8).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_work() {
        let expected: Vec<u32> = (0..50).map(|n| n * 2).collect();
        assert_eq!(super::two_at_a_time(0..50u32, |n| n * 2), expected);
        assert_eq!(super::two_at_a_time([], |n: u32| n), Vec::<u32>::new());
    }
}
