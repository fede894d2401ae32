//! The board project: what stands around a model's crate so that it can be linked and run.
//!
//! Start-up is that of `cortex-m-rt` and `riscv-rt`, the crates a firmware engineer would use: what is
//! measured is then what will be shipped, the user's example and the harness share one memory map, and
//! both crates enable the FPU (and with it Helium) before any code that needs it. Semihosting
//! is our own module of four calls: the crate `semihosting` (0.1.25) links the panic machinery. This module knows no model beyond the printed crate's interface.

use crate::source::{ModelCrate, SourceTree};
use crate::spec::{CoreSpec, MemoryMap, Profile, Timer};
use kinglet_diag::Result;
use std::fmt::Write;

const HARNESS: &str = include_str!("../templates/harness.rs");
const RT_CORTEX_M: &str = include_str!("../templates/rt_cortex_m.rs");
const RT_RISCV: &str = include_str!("../templates/rt_riscv.rs");
const TIMERS: &str = include_str!("../templates/timers.rs");
pub(crate) const SEMIHOST: &str = include_str!("../templates/semihost.rs");
const HOST: &str = include_str!("../templates/host.rs");

/// The folder of the project in the trees written here; the model's crate lies beside it, not below: it
/// may be a workspace of its own.
pub(crate) const FOLDER: &str = "project";

/// The name of the binary in every project written here.
pub(crate) const BINARY: &str = "kinglet-firmware";

/// The versions that the templates are written for.
const CORTEX_M_RT: &str = "cortex-m-rt = \"=0.7.7\"";
const RISCV_RT: &str = "riscv-rt = { version = \"=0.18.0\", features = [\"single-hart\"] }";

/// The start-up crate's line in `Cargo.toml`.
pub(crate) fn runtime(core: &CoreSpec) -> &'static str {
    if core.is_riscv() { RISCV_RT } else { CORTEX_M_RT }
}

/// The linker script with the memory map, included by the start-up crate's own script.
pub fn memory_x(core: &CoreSpec, memory: &MemoryMap) -> String {
    let mut text =
        String::from("/* Written by Kinglet from the board's memory map. */\nMEMORY\n{\n");
    let mut region = |name: &str, origin: u64, len: u64| {
        let _ = writeln!(text, "  {name} : ORIGIN = {origin:#010X}, LENGTH = {len:#X}");
    };
    region("FLASH", memory.flash.origin, memory.flash.len);
    // The stack starts at the end, which must be a multiple of its alignment.
    region("RAM", memory.ram.origin, memory.ram.len & !15);
    if let Some(weights) = &memory.weights {
        region("WEIGHTS", weights.origin, weights.len);
    }
    if let Some(arena) = &memory.arena {
        region("ARENA", arena.origin, arena.len);
    }
    text.push_str("}\n");
    if core.is_riscv() {
        for (alias, region) in [
            ("TEXT", "FLASH"),
            ("RODATA", "FLASH"),
            ("DATA", "RAM"),
            ("BSS", "RAM"),
            ("HEAP", "RAM"),
            ("STACK", "RAM"),
        ] {
            let _ = writeln!(text, "REGION_ALIAS(\"REGION_{alias}\", {region});");
        }
    }
    if memory.weights.is_some() {
        text.push_str(
            "SECTIONS\n{\n  .kinglet_weights : ALIGN(16)\n  {\n    *(.rodata.*KINGLET_WEIGHTS*);\n  } > WEIGHTS\n} INSERT AFTER .rodata;\n",
        );
    }
    if memory.arena.is_some() {
        text.push_str(
            "SECTIONS\n{\n  .kinglet_arena (NOLOAD) : ALIGN(16)\n  {\n    *(.bss.*ARENA*);\n  } > ARENA\n} INSERT AFTER .uninit;\n",
        );
    }
    text
}

/// What the linker is told for the final program alone; dependencies do not see it and stay cached.
pub(crate) fn link_arguments(core: &CoreSpec) -> Vec<String> {
    let mut arguments = Vec::new();
    if core.is_riscv() {
        arguments.push("-Clink-arg=-Tmemory.x".to_owned());
    }
    arguments.push("-Clink-arg=-Tlink.x".to_owned());
    arguments
}

/// The timer's part of the start-up module.
fn timer(timer: &Timer) -> String {
    let (name, base) = match timer {
        Timer::None => ("none", 0),
        Timer::Cmsdk { base, .. } => ("cmsdk", *base),
        Timer::SystemCounter { base, .. } => ("system_counter", *base),
        Timer::Nrf { base, .. } => ("nrf", *base),
        Timer::SysTick { .. } => ("systick", 0),
        Timer::Minstret => ("minstret", 0),
    };
    let part = TIMERS.split("//= ").find_map(|part| part.strip_prefix(name)?.strip_prefix('\n'));
    part.unwrap_or_default().replace("TIMER_BASE", &format!("{base:#010X}"))
}

fn manifest(
    package: &str,
    model: &ModelCrate,
    taps: bool,
    profile: Profile,
    dependencies: &[&str],
) -> Result<String> {
    let name = model.package_name()?;
    let folder = if model.folder.is_empty() {
        "../source".to_owned()
    } else {
        format!("../source/{}", model.folder)
    };
    let features = if taps { ", features = [\"taps\"]" } else { "" };
    let mut text = format!(
        "[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [features]\ntaps = []\n\n[dependencies]\n\
         model = {{ package = \"{name}\", path = \"{folder}\"{features} }}\n"
    );
    for dependency in dependencies {
        let _ = writeln!(text, "{dependency}");
    }
    let _ = write!(text, "\n[workspace]\n\n{}", profile.to_toml());
    Ok(text)
}

/// The project that runs cases on an emulated board.
pub(crate) fn harness(
    core: &CoreSpec,
    memory: &MemoryMap,
    clock: &Timer,
    model: &ModelCrate,
    taps: bool,
    profile: Profile,
) -> Result<SourceTree> {
    let mut tree = SourceTree::new();
    tree.insert("project/Cargo.toml", manifest(BINARY, model, taps, profile, &[runtime(core)])?);
    tree.insert("project/memory.x", memory_x(core, memory));
    tree.insert("project/src/main.rs", HARNESS);
    tree.insert("project/src/semihost.rs", SEMIHOST);
    let start = if core.is_riscv() { RT_RISCV } else { RT_CORTEX_M };
    tree.insert("project/src/rt.rs", format!("{start}\n{}", timer(clock)));
    tree.graft("source", &model.tree);
    Ok(tree)
}

/// The project that runs cases on this machine.
pub(crate) fn host(model: &ModelCrate, taps: bool, profile: Profile) -> Result<SourceTree> {
    let mut tree = SourceTree::new();
    tree.insert("project/Cargo.toml", manifest(BINARY, model, taps, profile, &[])?);
    tree.insert("project/src/main.rs", HOST);
    tree.graft("source", &model.tree);
    Ok(tree)
}
