//! The device matrix: models against the goldens, by every engine of a board (`native:BOARD`,
//! `crate:BOARD`, `qemu:BOARD`).
//!
//! `device [--all] [--seed HEX] [--board B ...] [--every-profile] [SUBSTRING ...]`. Without `--all`, a part
//! chosen by the commit. A substring is one of `FOLDER/MODEL on ENGINE`. Firmware is built with one of
//! the settings for which no panic is promised, in turn; with `--every-profile`, with all of them.

use kinglet::engine::EngineName;
use kinglet_testkit::matrix::{PROFILES, Pair, check, pairs, rotating};
use kinglet_testkit::{commit, two_at_a_time};
use std::process::ExitCode;

/// Pairs in a run without `--all`.
const PART: usize = 120;

fn main() -> ExitCode {
    let mut all = false;
    let mut every_profile = false;
    let mut seed = None;
    let mut boards = Vec::new();
    let mut wanted: Vec<String> = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--all" => all = true,
            "--every-profile" => every_profile = true,
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
    let mut work = Vec::new();
    for (index, pair) in list.into_iter().enumerate() {
        if every_profile && matches!(pair.engine, EngineName::Qemu(_)) {
            work.extend(PROFILES.map(|profile| (pair.clone(), profile)));
        } else {
            work.push((pair, PROFILES[index % PROFILES.len()]));
        }
    }
    let results = two_at_a_time(work, |(pair, profile)| {
        let mut label = pair.label();
        if matches!(pair.engine, EngineName::Qemu(_)) {
            let lto = if profile.lto { " with LTO" } else { "" };
            label += &format!(", opt-level {}{lto}", profile.opt_level.as_toml());
        }
        let checked = check(&pair, profile);
        match &checked {
            Ok(values) => println!("equal  {label}: {values} values"),
            Err(failure) => println!("FAILED {label}: {}", failure.first()),
        }
        checked.is_ok()
    });
    let failed = results.iter().filter(|equal| !**equal).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
