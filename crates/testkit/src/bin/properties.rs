//! Kernels with instructions of their own against the same kernels without, on the emulated cores.
//!
//! `properties [--seed HEX] [--count N] [--case N] [--board B ...]`. The seed comes from the commit; `--case` runs
//! one case of each kernel again.

use kinglet_testkit::properties::{BOARDS, Cases, check};
use kinglet_testkit::{commit, two_at_a_time};
use std::process::ExitCode;

/// Cases of a kernel.
const COUNT: u32 = 10_000;

fn main() -> ExitCode {
    let mut cases = Cases { seed: commit(), first: 0, count: COUNT };
    let mut boards = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        let number = || value.parse::<u32>().ok();
        let known = match arg.as_str() {
            "--seed" => u64::from_str_radix(&value, 16).ok().map(|seed| cases.seed = seed),
            "--count" => number().map(|count| cases.count = count),
            "--case" => number().map(|case| (cases.first, cases.count) = (case, 1)),
            "--board" => {
                boards.push(value);
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            eprintln!("properties [--seed HEX] [--count N] [--case N] [--board B ...]");
            return ExitCode::from(2);
        }
    }
    println!("{} cases of each kernel, seed {:x}", cases.count, cases.seed);
    let wanted =
        BOARDS.iter().filter(|(id, _)| boards.is_empty() || boards.iter().any(|b| b == id));
    let equal = two_at_a_time(wanted, |&(board, feature)| match check(board, feature, cases) {
        Ok(printed) => {
            for line in printed.lines() {
                println!("{line} on {board}");
            }
            !printed.contains("FAILED") && printed.contains("equal")
        }
        Err(failure) => {
            println!("FAILED {board}: {}", failure.first());
            false
        }
    });
    if equal.iter().all(|equal| *equal) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
