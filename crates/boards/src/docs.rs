//! The page `docs/boards.md`, from the data.

use crate::board::{Board, Class, Region, RegionKind};
use crate::cores::Core;
use std::fmt::{self, Write};

const HEAD: &str = "\
# Boards

<!-- Generated from crates/boards/data. `KINGLET_BLESS=1 cargo test -p kinglet-boards` rewrites it. -->

A board is a TOML file under `crates/boards/data/boards`: adding a board is adding one file. A board of
your own needs no change to Kinglet: `--board ./my.toml`.

RAM is listed by contiguous block, because an arena is one block: the sum of regions holds nothing.
Blocks whose addresses adjoin, and that differ in nothing else, are joined. `†` marks a board some of
whose facts no source states or no second source confirms; the section on sources says which. `≤` marks
a total of which the largest block is not known. Coprocessors are named so that nobody takes the core's
speed for the board's; Kinglet builds for the core.

The column *emulated by* names the machine whose core runs the same code in QEMU: counts of
instructions and results are the same there, time is not.
";

const KEYS: &str = "\
## Keys of a board file

An unknown key is an error. Sizes are bytes; addresses and sizes may be hexadecimal, with underscores.

| key | meaning |
|---|---|
| `id` | lower case letters, digits, hyphens; the file is called `id.toml` |
| `name`, `vendor`, `soc` | as the vendor writes them |
| `aliases` | other names it is found by |
| `class` | `microcontroller`, `linux`, or `accelerator` (a device beside a host) |
| `core` | id of the core that runs the model, from the table below |
| `core_count`, `other_cores` | how many of it; the others, in words |
| `clock_mhz` | left out when it is not known |
| `[[memory]]` | one table a region: `name`, `kind` (`ram`, `flash`, `psram`, `external-flash`), `origin`, `bytes`, `contiguous` (`false` when only a total is known), `dma`, `cached`, `tightly_coupled`, of flash `wait_states` at the board's clock and `line_bytes` that are read at once, `notes`, `source` |
| `[[reserved]]` | memory that is not the firmware's: `what`, `region`, `bytes`, and either `source` or `assumption = true` |
| `[[accelerators]]` | `name`, `tops`, `tops_basis` |
| `emulated_by` | the emulated machine that takes its place; left out, it is the one that stands for the core |
| `[emulated]` | for an emulated machine: `qemu`, `machine`, `args`, `emulates`, `stands_for`, `timer` |
| `notes` | a list of sentences |
| `[sources]` | for each of `soc`, `core`, `clock_mhz`, `memory`, `memory_attributes` (dma, cached, tightly_coupled), `flash_timing` (wait_states, line_bytes), `accelerators`, `emulated`: who says so |
| `[unverified]` | the same keys: why a fact is missing or in doubt |
";

/// Renders the page, Markdown, from [`crate::all`] and [`crate::cores`].
pub fn render_docs() -> String {
    let mut page = String::from(HEAD);
    // Writing to a String cannot fail.
    let _ = render(&mut page);
    page
}

fn render(page: &mut String) -> fmt::Result {
    let (emulated, real): (Vec<&Board>, Vec<&Board>) =
        crate::all().iter().partition(|board| board.is_emulated());
    let classes = [
        (Class::Microcontroller, "Microcontrollers"),
        (Class::Linux, "Linux boards"),
        (Class::Accelerator, "Accelerators beside a host"),
    ];
    writeln!(page, "\n{} real boards, {} emulated machines.", real.len(), emulated.len())?;
    for (class, title) in classes {
        writeln!(page, "\n## {title}\n")?;
        writeln!(
            page,
            "| board | id | chip | core | MHz | RAM by block | flash | external | coprocessor | emulated by |"
        )?;
        writeln!(page, "|---|---|---|---|---:|---|---|---|---|---|")?;
        for board in real.iter().filter(|board| board.class == class) {
            row(page, board)?;
        }
    }
    emulated_table(page, &emulated)?;
    cores_table(page, crate::cores())?;
    writeln!(page, "\n{KEYS}\n## Sources\n")?;
    for board in crate::all() {
        sources(page, board)?;
    }
    Ok(())
}

fn row(page: &mut String, board: &Board) -> fmt::Result {
    let mark = if board.unverified.is_empty() { "" } else { " †" };
    let count =
        if board.core_count > 1 { format!(" x{}", board.core_count) } else { String::new() };
    let mut external = blocks(&board.regions(RegionKind::Psram));
    let flash = blocks(&board.regions(RegionKind::ExternalFlash));
    if !flash.is_empty() {
        external = if external.is_empty() { flash } else { format!("{external}, {flash}") };
    }
    let accelerators: Vec<String> = board
        .accelerators
        .iter()
        .map(|a| match (a.tops, &a.tops_basis) {
            (Some(tops), Some(basis)) => format!("{}, {tops} TOPS ({basis})", a.name),
            (Some(tops), None) => format!("{}, {tops} TOPS", a.name),
            (None, _) => a.name.clone(),
        })
        .collect();
    writeln!(
        page,
        "| {}{mark} | `{}` | {} | `{}`{count} | {} | {} | {} | {} | {} | {} |",
        board.name,
        board.id,
        board.soc,
        board.core.id,
        board.clock_mhz.map(|mhz| mhz.to_string()).unwrap_or_default(),
        blocks(&board.ram_regions()),
        blocks(&board.flash_regions()),
        external,
        accelerators.join("; "),
        board.emulated_by.as_deref().map(|id| format!("`{id}`")).unwrap_or_default(),
    )
}

/// `AXISRAM 512 KiB, DTCM 128 KiB (no DMA)`, largest first.
fn blocks(regions: &[Region]) -> String {
    let mut regions: Vec<&Region> = regions.iter().collect();
    regions.sort_by_key(|region| std::cmp::Reverse(region.bytes));
    let text = |region: &&Region| {
        let most = if region.contiguous { "" } else { "≤ " };
        let dma = if region.dma == Some(false) { " (no DMA)" } else { "" };
        format!("{} {most}{}{dma}", region.name, size(region.bytes))
    };
    regions.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A size in the largest binary unit that leaves at most one decimal.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, factor) in UNITS {
        if bytes >= factor && (bytes * 10).is_multiple_of(factor) {
            let (whole, tenth) = (bytes / factor, bytes % factor * 10 / factor);
            return if tenth == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenth} {unit}")
            };
        }
    }
    if bytes >= 1024 { format!("{:.1} KiB", bytes as f64 / 1024.0) } else { format!("{bytes} B") }
}

fn emulated_table(page: &mut String, boards: &[&Board]) -> fmt::Result {
    writeln!(page, "\n## Emulated machines\n")?;
    writeln!(
        page,
        "| board | id | stands for | memory | timer | instructions a tick | what is emulated |"
    )?;
    writeln!(page, "|---|---|---|---|---|---:|---|")?;
    for board in boards {
        let Some(emulated) = &board.emulated else { continue };
        let at = |region: &Region| {
            let origin = region.origin.unwrap_or_default();
            format!(
                "{} {} at {origin:#x} ({})",
                region.name,
                size(region.bytes),
                region.kind.as_str()
            )
        };
        let memory: Vec<String> = board.memory.iter().map(at).collect();
        let timer = match emulated.timer.address {
            Some(address) => format!("{:?} at {address:#x}", emulated.timer.kind),
            None => format!("{:?}", emulated.timer.kind),
        };
        writeln!(
            page,
            "| {} | `{}` | {} | {} | {timer} | {} | {} |",
            board.name,
            board.id,
            ids(&emulated.stands_for),
            memory.join(", "),
            emulated.timer.ns_per_tick,
            emulated.emulates,
        )?;
    }
    Ok(())
}

fn ids(ids: &[String]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

fn cores_table(page: &mut String, cores: &[Core]) -> fmt::Result {
    writeln!(page, "\n## Cores\n")?;
    writeln!(page, "| core | id | instruction set | FPU | vectors | Rust target | target CPU |")?;
    writeln!(page, "|---|---|---|---|---|---|---|")?;
    for core in cores {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        writeln!(
            page,
            "| {} | `{}` | {:?} | {:?} | {:?} | {} | {} |",
            core.name,
            core.id,
            core.isa,
            core.fpu,
            core.vector,
            core.rust_target.as_ref().map_or("nothing is built".to_owned(), |t| format!("`{t}`")),
            or_dash(&core.target_cpu),
        )?;
    }
    Ok(())
}

fn sources(page: &mut String, board: &Board) -> fmt::Result {
    writeln!(page, "### {}\n", board.id)?;
    for (fact, source) in &board.sources {
        writeln!(page, "- {fact}: {source}")?;
    }
    for region in &board.memory {
        if let Some(source) = &region.source {
            writeln!(page, "- memory {}: {source}", region.name)?;
        }
        if let Some(notes) = &region.notes {
            writeln!(page, "- memory {} (note): {notes}", region.name)?;
        }
    }
    for reserved in &board.reserved {
        let who = reserved.source.as_deref().unwrap_or("assumption");
        let (what, region, bytes) = (&reserved.what, &reserved.region, size(reserved.bytes));
        writeln!(page, "- reserved in {region}: {bytes} for {what} ({who})")?;
    }
    for (fact, why) in &board.unverified {
        writeln!(page, "- † {fact}: {why}")?;
    }
    for note in &board.notes {
        writeln!(page, "- note: {note}")?;
    }
    writeln!(page)
}
