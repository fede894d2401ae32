//! Installs what the tests need on a machine that has cargo: the emulator, a C compiler, valgrind, and a
//! way to build for the bare-metal targets.

use crate::run::{Outcome, Program, exists};

/// The bare-metal targets that the tests build for.
const TARGETS: [&str; 5] = [
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    "riscv32imc-unknown-none-elf",
];

pub(crate) fn setup() -> Outcome {
    emulator()?;
    c_compiler()?;
    valgrind()?;
    targets()
}

/// Valgrind, which the kernels' tests are run under. Without a package manager that step is skipped.
fn valgrind() -> Outcome {
    if exists("valgrind") {
        println!("valgrind is here");
        return Ok(());
    }
    if !exists("apt-get") {
        println!("valgrind is missing: the kernels' tests will not be run under it");
        return Ok(());
    }
    apt(&["update", "-qq"])?;
    apt(&["install", "-y", "-qq", "--no-install-recommends", "valgrind"])
}

/// GCC for Cortex-M, which links a model's C library. Without a package manager its tests are skipped.
fn c_compiler() -> Outcome {
    if exists("arm-none-eabi-gcc") {
        println!("the C compiler for Cortex-M is here");
        return Ok(());
    }
    if !exists("apt-get") {
        println!("arm-none-eabi-gcc is missing: the tests that link C libraries will be skipped");
        return Ok(());
    }
    apt(&["update", "-qq"])?;
    apt(&["install", "-y", "-qq", "--no-install-recommends", "gcc-arm-none-eabi"])
}

fn emulator() -> Outcome {
    if exists("qemu-system-arm") && exists("qemu-system-riscv32") {
        println!("the emulator is here");
        return Ok(());
    }
    if !exists("apt-get") {
        return Err("QEMU is missing: install qemu-system-arm and qemu-system-riscv32 with your \
                    package manager, then run this again"
            .to_owned());
    }
    apt(&["update", "-qq"])?;
    let packages = ["qemu-system-arm", "qemu-system-misc"];
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    let args: Vec<&str> = install.into_iter().chain(packages).collect();
    if apt(&args).is_err() {
        // QEMU's disk tools of another release keep the emulator from being installed; the tests need
        // no disk images.
        let args: Vec<&str> = args.into_iter().chain(["qemu-utils-"]).collect();
        apt(&args)?;
    }
    if exists("qemu-system-arm") && exists("qemu-system-riscv32") {
        Ok(())
    } else {
        Err("QEMU was installed but qemu-system-arm or qemu-system-riscv32 does not start"
            .to_owned())
    }
}

fn targets() -> Outcome {
    let missing: Vec<&str> = TARGETS.into_iter().filter(|target| !has_target(target)).collect();
    if missing.is_empty() {
        println!("all bare-metal targets are here");
        return Ok(());
    }
    if exists("rustup") {
        let add = Program::new("rustup").args(["target", "add"]).args(&missing);
        if add.run().is_ok() {
            return Ok(());
        }
        println!("rustup has no such targets here; trying the distribution's compiler");
    }
    // The distribution's compiler comes with the source of `core`, from which any target is built.
    let source = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";
    let packaged = std::path::Path::new(source).exists() || has_packaged_source();
    if packaged && exists("/usr/bin/cargo") {
        println!("the distribution's compiler and the source of core are here");
        return Ok(());
    }
    if !exists("apt-get") {
        return Err(format!("run `rustup target add {}`", missing.join(" ")));
    }
    apt(&["update", "-qq"])?;
    apt(&[
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "rustc-web",
        "cargo-web",
        "rust-web-src",
        "lld-19",
    ])
}

fn has_packaged_source() -> bool {
    let folders = std::fs::read_dir("/usr/src").into_iter().flatten().flatten();
    let mut names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.any(|name| name.starts_with("rustc-"))
}

fn has_target(target: &str) -> bool {
    let libdir =
        Program::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    libdir.is_some_and(|path| std::path::Path::new(path.trim()).exists())
}

/// Runs apt-get, as root or through sudo.
fn apt(args: &[&str]) -> Outcome {
    let is_root = Program::new("id").args(["-u"]).output().is_some_and(|id| id.trim() == "0");
    let program =
        if is_root { Program::new("apt-get") } else { Program::new("sudo").args(["apt-get"]) };
    program.args(args).env("DEBIAN_FRONTEND", "noninteractive").run()
}
