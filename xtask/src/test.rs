//! The tests, the lints, the blessing.

use crate::run::{Outcome, Program, exists, root};
use crate::{setup, tidy};

/// Crates without device builds: the fast set.
const QUICK: &[&str] = &["--lib", "--bins", "--tests"];

pub(crate) fn test(args: &[String]) -> Outcome {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--quick") {
        return Program::cargo()
            .args(["test", "--workspace", "--exclude", "kinglet-device"])
            .args(QUICK)
            .env("KINGLET_QUICK", "1")
            .run();
    }
    setup::setup()?;
    Program::cargo().args(["test", "--workspace", "--all-features", "--no-fail-fast"]).run()?;
    if exists("valgrind") {
        // The kernels' few pointers, which the compiler does not follow.
        let runner = "target.'cfg(unix)'.runner = ['valgrind', '--quiet', '--error-exitcode=9']";
        Program::cargo()
            .args([
                "--config",
                runner,
                "test",
                "--release",
                "--package",
                "kinglet-kernels",
                "--lib",
            ])
            .run()?;
    }
    testkit("properties", &[])?;
    let conform: &[&str] = if has("--all") { &["--all"] } else { &[] };
    testkit("device", &conform.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())?;
    testkit("device-layers", &[])
}

/// Runs a binary of `testkit` with optimization.
pub(crate) fn testkit(binary: &str, args: &[String]) -> Outcome {
    Program::cargo()
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "kinglet-testkit",
            "--bin",
            binary,
            "--",
        ])
        .args(args)
        .run()
}

pub(crate) fn bless() -> Outcome {
    Program::cargo().args(["test", "--workspace", "--all-features"]).env("KINGLET_BLESS", "1").run()
}

pub(crate) fn lint() -> Outcome {
    Program::cargo().args(["fmt", "--all", "--check"]).run()?;
    Program::cargo()
        .args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
        .run()?;
    tidy::tidy()?;
    Program::cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// Runs every fuzz target for so many seconds; see `fuzz/README.md`.
pub(crate) fn fuzz(args: &[String]) -> Outcome {
    let seconds = args.first().map_or("60", String::as_str);
    let seconds: u32 = seconds.parse().map_err(|_| format!("{seconds} is no number of seconds"))?;
    let folder = root().join("fuzz");
    let mut targets: Vec<String> = std::fs::read_dir(folder.join("fuzz_targets"))
        .map_err(|error| format!("fuzz/fuzz_targets cannot be read: {error}"))?
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let name = path.file_stem()?.to_string_lossy().into_owned();
            (path.extension()? == "rs").then_some(name)
        })
        .collect();
    targets.sort();
    for target in targets {
        let corpus = format!("corpus/{target}");
        std::fs::create_dir_all(folder.join(&corpus)).map_err(|error| error.to_string())?;
        let mut folders = vec![corpus];
        let seeds = format!("seeds/{target}");
        if folder.join(&seeds).is_dir() {
            folders.push(seeds);
        }
        Program::cargo()
            .args(["run", "--quiet", "--release", "--bin", &target, "--"])
            .args(folders)
            .args([&format!("-max_total_time={seconds}"), "-max_len=65536", "-timeout=5"])
            .args(["-rss_limit_mb=1024", "-malloc_limit_mb=256", "-verbosity=0"])
            .env("RUSTC_BOOTSTRAP", "1")
            .folder(&folder)
            .run()?;
    }
    Ok(())
}
