//! The nine models on emulated cores, beside the peer's figures.
//!
//! `device-bench [--model SUBSTRING ...] [--core CORE ...] [--write]`. Without `--core`, the M4, M55, M0+ and
//! RV32IMC; `--core all` takes the M3, M7 and M33 too. `--write` rewrites `docs/benchmarks/device.md`; without
//! it the tables are printed.

use kinglet::model::Model;
use kinglet_device::{Emulator, toolchain};
use kinglet_testkit::bench::{Around, Bench, Row};
use kinglet_testkit::measure::{Setting, measure, program_around};
use kinglet_testkit::peers::{CORES, Core, Peer, peers};
use kinglet_testkit::{all_or_errors, two_at_a_time};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("device-bench: {message}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    models: Vec<String>,
    cores: Vec<Core>,
    write: bool,
}

fn options() -> Result<Options, String> {
    let (mut models, mut cores, mut write) = (Vec::new(), Vec::new(), false);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--model" => models.extend(args.next()),
            "--core" => match args.next().unwrap_or_default().as_str() {
                "all" => cores = CORES.to_vec(),
                key => {
                    let known: Vec<&str> = CORES.iter().map(|core| core.key).collect();
                    let found = CORES.iter().find(|core| core.key == key || core.board == key);
                    cores.push(
                        *found
                            .ok_or(format!("there is no core {key}: all, {}", known.join(", ")))?,
                    );
                }
            },
            "--write" => write = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    if cores.is_empty() {
        cores = CORES.iter().copied().filter(|core| core.standard).collect();
    }
    let whole = CORES.iter().filter(|core| core.standard).all(|core| cores.contains(core));
    if write && !(whole && models.is_empty()) {
        return Err("--write needs all models and at least the cores of a plain run".to_owned());
    }
    Ok(Options { models, cores, write })
}

fn run() -> Result<(), String> {
    let options = options()?;
    let assets = kinglet_testkit::assets().ok_or("there is nothing to measure")?;
    let words = |error: kinglet::Failure| error.to_string();
    let mut work = Vec::new();
    for core in &options.cores {
        for peer in &peers().models {
            let wanted = |part: &String| peer.name.contains(part) || peer.file.contains(part);
            if options.models.is_empty() || options.models.iter().any(wanted) {
                work.push((*core, peer));
            }
        }
    }
    let total = work.len();
    let rows = two_at_a_time(work.into_iter().enumerate(), |(index, (core, peer))| {
        eprintln!("{} of {total}: {} on {}", index + 1, peer.name, core.name);
        row(core, peer, &assets).map_err(|why| format!("{} on {}: {why}", peer.name, core.name))
    });
    let mut bench =
        Bench { rows: all_or_errors(rows)?, tools: tools().map_err(words)?, ..Bench::default() };
    for core in options.cores {
        let speed = program_around(core.board, Setting::Speed).map_err(words)?;
        let size = program_around(core.board, Setting::Size).map_err(words)?;
        bench.around.push(Around { core, speed, size });
    }
    if options.write {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks/device.md");
        let io = |error: std::io::Error| format!("{}: {error}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        std::fs::write(&path, bench.page()).map_err(io)?;
        println!("{}", bench.limits());
    } else {
        println!("{}\n\n{}", bench.tools, bench.tables());
    }
    Ok(())
}

fn row(core: Core, peer: &'static Peer, assets: &Path) -> Result<Row, kinglet::Failure> {
    let model = Model::open(&peer.path(assets))?;
    let speed = measure(&model, core.board, Setting::Speed)?;
    let size = measure(&model, core.board, Setting::Size)?;
    Ok(Row { peer, core, speed, size })
}

/// What built and ran the programs.
fn tools() -> Result<String, kinglet::Failure> {
    let route = toolchain::route("thumbv7em-none-eabihf")?;
    let emulator = Emulator::find("qemu-system-arm")?;
    Ok(format!("Compiled by rustc {}, run in QEMU {}.", route.toolchain.release, emulator.version))
}
