//! The example that a user gets beside a printed crate: text, and its measurement.

use crate::board::Emulation;
use crate::cache::Cache;
use crate::elf::{Elf, Sizes};
use crate::emulator::{Counting, Emulator, emulate, explain, stack_overflow};
use crate::firmware::{Firmware, build_project};
use crate::plugin::{Ask, Counts, OUT, plugin};
use crate::project::{SEMIHOST, link_arguments, memory_x, runtime};
use crate::run::{inexact, no_folder};
use crate::source::SourceTree;
use crate::spec::{CoreSpec, Machine, MemoryMap, Profile};
use kinglet_diag::{Diagnostic, Result};
use std::fmt::Write;
use std::time::Duration;

const CORTEX_M: &str = include_str!("../templates/example_cortex_m.rs");
const RISCV: &str = include_str!("../templates/example_riscv.rs");

/// The name of the example's program.
pub const EXAMPLE: &str = "example";

const CHECK: &str = "    let passed = model.check();
    semihost::print(if passed { c\"check passed\\n\" } else { c\"check FAILED\\n\" });
    semihost::exit(if passed { 0 } else { 1 })";

const RUN: &str = "    model.run();
    semihost::print(c\"one inference done\\n\");
    semihost::exit(0)";

/// What the example is written for.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The printed crate's package name.
    pub package: &'a str,
    /// Whether the crate has `check()`.
    pub has_check: bool,
    /// The core.
    pub core: &'a CoreSpec,
    /// Where everything goes: the board's own memory for the user, the machine's to run it here.
    pub memory: &'a MemoryMap,
    /// The machine that `cargo run` starts, if there is one.
    pub machine: Option<&'a Machine>,
    /// The compiler's settings.
    pub profile: Profile,
}

/// The example's files, for a folder directly below the printed crate's: `cargo build --release` there
/// builds it, `cargo run --release` runs it in the emulator.
pub fn example(request: Example<'_>) -> SourceTree {
    let Example { package, has_check, core, memory, machine, profile } = request;
    let mut tree = SourceTree::new();
    let mut manifest = format!(
        "[package]\nname = \"{EXAMPLE}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n[dependencies]\n\
         {package} = {{ path = \"..\" }}\n{}\n\n[workspace]\n\n",
        runtime(core)
    );
    manifest.push_str(
        "# No panic is linked at any of these levels as long as overflow checks are off.\n",
    );
    manifest.push_str(&profile.to_toml());
    tree.insert("Cargo.toml", manifest);
    tree.insert("memory.x", memory_x(core, memory));
    tree.insert(".cargo/config.toml", config(core, machine));
    let text = if core.is_riscv() { RISCV } else { CORTEX_M };
    let summary = if has_check {
        "Runs the stored check of the model and says how it came out."
    } else {
        "Runs the model once."
    };
    let text = text
        .replace("{{crate}}", &package.replace('-', "_"))
        .replace("{{summary}}", summary)
        .replace("{{body}}", if has_check { CHECK } else { RUN });
    tree.insert("src/main.rs", sort_imports(&text));
    tree.insert("src/semihost.rs", SEMIHOST);
    tree
}

/// Puts the two `use` lines in rustfmt's order, which depends on the crate's name.
fn sort_imports(text: &str) -> String {
    let mut uses: Vec<&str> = text.lines().filter(|line| line.starts_with("use ")).collect();
    let joined = uses.join("\n");
    uses.sort_unstable();
    text.replacen(&joined, &uses.join("\n"), 1)
}

fn config(core: &CoreSpec, machine: Option<&Machine>) -> String {
    let mut text = format!(
        "[build]\ntarget = \"{}\"\n\n[target.{}]\nrustflags = [\n",
        core.target,
        quoted(&core.target)
    );
    for flag in core.rust_flags().iter().chain(&link_arguments(core)) {
        let _ = writeln!(text, "    \"{flag}\",");
    }
    text.push_str("]\n");
    if let Some(machine) = machine {
        let mut words = vec![machine.emulator.as_str(), "-machine", &machine.machine];
        words.extend(machine.arguments.iter().map(String::as_str));
        words.extend(["-nographic", "-monitor", "none", "-serial", "none"]);
        words.extend(["-semihosting-config", "enable=on,target=native", "-kernel"]);
        let _ = writeln!(text, "runner = \"{}\"", words.join(" "));
    }
    text
}

/// A TOML key: bare where it may be.
fn quoted(key: &str) -> String {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { key.to_owned() } else { format!("\"{key}\"") }
}

/// An example, built and run once.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Sizes of the linked program, by the memory map that it was built with.
    pub sizes: Sizes,
    /// Most stack in use, bytes: from the start of the stack to the lowest address that was written.
    /// Nothing where the emulator loads no plug-ins.
    pub stack_bytes: Option<u64>,
    /// What it printed.
    pub printed: String,
    /// The program.
    pub firmware: Firmware,
    /// Warnings.
    pub notes: Vec<Diagnostic>,
}

/// Builds the example at `folder` of a tree that also holds the printed crate, and runs it once. The
/// example must have been written with the emulation's core and memory.
///
/// # Errors
/// Those of [`build_project`] and of the emulator; K0712 if the check fails.
pub fn measure_example(
    cache: &Cache,
    tree: &SourceTree,
    folder: &str,
    emulation: &Emulation,
    limit: Duration,
) -> Result<Measured> {
    let machine = &emulation.machine;
    let emulator = Emulator::find(&machine.emulator)?;
    let firmware = build_project(cache, tree, folder, EXAMPLE, &emulation.core, &machine.memory)?;
    let elf = Elf::read(&firmware.path)?;
    let sizes = elf.sizes(&machine.memory);
    let ram = &machine.memory.ram;
    let top = elf.address_of("_stack_start").unwrap_or(ram.origin + (ram.len & !15));
    // The stack has what the statics leave.
    let bottom = ram.origin + sizes.regions.get(1).map_or(0, |ram| ram.used);
    let run = tempfile::tempdir().map_err(no_folder)?;
    let mut notes = Vec::new();
    let mut counting = Counting::Off;
    match plugin(cache, &emulator) {
        Ok(plugin) => {
            let ask = Ask { stack: Some((bottom, top)), ..Ask::default() };
            counting = Counting::PlugIn { plugin, arguments: ask.arguments() };
        }
        Err(why) => notes.push(inexact(&why)),
    }
    let mut ended = emulate(&emulator, machine, &firmware.path, run.path(), &counting, limit)?;
    if matches!(counting, Counting::PlugIn { .. }) && !run.path().join(OUT).exists() {
        notes.push(inexact(
            ended.said.lines().next().unwrap_or("the emulator does not load plug-ins"),
        ));
        ended = emulate(&emulator, machine, &firmware.path, run.path(), &Counting::Off, limit)?;
    }
    if let Some(failure) = explain(&ended, run.path(), &elf) {
        return Err(failure);
    }
    let text = std::fs::read_to_string(run.path().join(OUT)).unwrap_or_default();
    let stack_bytes = Counts::parse(&text).lowest.map(|lowest| top - lowest);
    // Growing on, it would have passed the statics' last word on its way.
    if stack_bytes.is_some_and(|used| used + 4 > top - bottom) {
        return Err(stack_overflow(top - bottom));
    }
    Ok(Measured { sizes, stack_bytes, printed: ended.said, firmware, notes })
}

/// Builds a project that is already written and runs its program once, at the emulator's full speed; what it
/// printed.
///
/// # Errors
/// Those of [`build_project`] and of the emulator.
pub fn run_project(
    cache: &Cache,
    tree: &SourceTree,
    folder: &str,
    binary: &str,
    emulation: &Emulation,
    limit: Duration,
) -> Result<String> {
    let machine = &emulation.machine;
    let emulator = Emulator::find(&machine.emulator)?;
    let firmware = build_project(cache, tree, folder, binary, &emulation.core, &machine.memory)?;
    let elf = Elf::read(&firmware.path)?;
    let run = tempfile::tempdir().map_err(no_folder)?;
    let ended = emulate(&emulator, machine, &firmware.path, run.path(), &Counting::Off, limit)?;
    match explain(&ended, run.path(), &elf) {
        Some(failure) => Err(failure),
        None => Ok(ended.said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Needs;

    fn text_of(board: &str, has_check: bool) -> SourceTree {
        let emulation =
            Emulation::of(kinglet_boards::find(board).unwrap(), Needs::default()).unwrap();
        let (core, machine) = (&emulation.core, &emulation.machine);
        let memory = &machine.memory;
        example(Example {
            package: "my-model",
            has_check,
            core,
            memory,
            machine: Some(machine),
            profile: Profile::default(),
        })
    }

    #[test]
    fn the_example_is_for_its_core() {
        let arm = text_of("mps2-an505", true);
        let main = std::str::from_utf8(arm.get("src/main.rs").unwrap()).unwrap();
        assert!(main.contains("use cortex_m_rt::entry;\nuse my_model::{Arena, Model};"));
        assert!(main.contains("model.check()"));
        assert!(!main.contains("{{"));
        let config: toml::Table =
            std::str::from_utf8(arm.get(".cargo/config.toml").unwrap()).unwrap().parse().unwrap();
        let target = &config["target"]["thumbv8m.main-none-eabihf"];
        assert!(
            target["runner"].as_str().unwrap().starts_with("qemu-system-arm -machine mps2-an505")
        );
        let riscv = text_of("riscv32-virt", false);
        let main = std::str::from_utf8(riscv.get("src/main.rs").unwrap()).unwrap();
        assert!(main.contains("use my_model::{Arena, Model};\nuse riscv_rt::entry;"));
        assert!(main.contains("model.run()"));
    }
}
