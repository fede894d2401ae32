//! The device matrix: models on emulated boards against the goldens.
//!
//! `device [--all] [--seed HEX] [--board B ...] [SUBSTRING ...]`. Without `--all`, a part chosen by the
//! commit.

use kinglet_testkit::matrix::{Pair, check, pairs, rotating};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

/// Pairs in a run without `--all`.
const PART: usize = 60;

fn main() -> ExitCode {
    let mut all = false;
    let mut seed = None;
    let mut boards = Vec::new();
    let mut wanted: Vec<String> = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--all" => all = true,
            "--seed" => seed = args.next().and_then(|hex| u64::from_str_radix(&hex, 16).ok()),
            "--board" => boards.extend(args.next()),
            _ => wanted.push(arg),
        }
    }
    let assets = kinglet_testkit::assets();
    let mut list: Vec<Pair> = pairs(assets.as_deref());
    list.retain(|pair| boards.is_empty() || boards.iter().any(|board| board == pair.board));
    list.retain(|pair| {
        wanted.is_empty() || wanted.iter().any(|part| pair.label().contains(part.as_str()))
    });
    if !all && wanted.is_empty() && boards.is_empty() {
        let seed = seed.unwrap_or_else(commit);
        println!(
            "a part of the device matrix; again with: cargo xtask test, or this program with --seed {seed:x}; all of it: cargo xtask test --all"
        );
        list = rotating(list, seed, PART);
    } else {
        list.sort_by(|a, b| (a.board, &a.model).cmp(&(b.board, &b.model)));
    }
    let total = list.len();
    let queue = Mutex::new(list.into_iter());
    let failed = Mutex::new(Vec::new());
    // Two at a time: one builds while the other runs.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(pair) = next else { break };
                    match check(&pair) {
                        Ok(values) => println!("equal  {}: {values} values", pair.label()),
                        Err(failure) => {
                            println!("FAILED {}: {}", pair.label(), failure.first());
                            if let Ok(mut failed) = failed.lock() {
                                failed.push(pair.label());
                            }
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    println!("{} passed, {} failed", total - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A number from the commit, or 1.
fn commit() -> u64 {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let hash = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let hash = hash.unwrap_or_default();
    hash.get(..8).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(1)
}
