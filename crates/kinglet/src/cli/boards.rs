//! `kinglet boards [FILTER]` and `kinglet boards show ID`

use super::{Done, Show};
use crate::table::{Align, Table, bytes};
use kinglet_boards::{Board, RegionKind};
use kinglet_diag::Result;
use serde_json::json;

/// List the boards Kinglet knows, or show one with the source of each fact
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A filter matches id, name, vendor, chip, core or class.

Examples:
  kinglet boards
  kinglet boards cortex-m4
  kinglet boards emulated
  kinglet boards show nucleo-f446re
  kinglet boards show ./my-board.toml")]
pub struct Args {
    /// A filter, or `show`
    filter: Option<String>,
    /// With `show`: the board's id, or a board file
    id: Option<String>,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    match (args.filter.as_deref(), &args.id) {
        (Some("show"), Some(id)) => {
            let board = kinglet_boards::open(id)?;
            show.text(&page(&board));
            show.object("kinglet.boards/1", json!({ "boards": [board.as_ref()] }));
        }
        (filter, _) => {
            let wanted = filter.unwrap_or("").to_lowercase();
            let boards: Vec<&Board> =
                kinglet_boards::all().iter().filter(|board| matches(board, &wanted)).collect();
            show.text(&list(&boards));
            show.object("kinglet.boards/1", json!({ "boards": boards }));
        }
    }
    Ok(Done::default())
}

fn matches(board: &Board, wanted: &str) -> bool {
    let class = if board.is_emulated() { "emulated" } else { "real" };
    let names = [&board.id, &board.name, &board.vendor, &board.soc, &board.core.id];
    let mut texts = names.iter().map(|text| text.to_lowercase());
    texts.any(|text| text.contains(wanted)) || class == wanted
}

fn list(boards: &[&Board]) -> String {
    let mut table = Table::new(&[
        ("board", Align::Left),
        ("core", Align::Left),
        ("MHz", Align::Right),
        ("largest RAM", Align::Right),
        ("flash", Align::Right),
        ("runs in QEMU as", Align::Left),
    ]);
    let size = |region: Option<kinglet_boards::Region>| {
        region.map_or("-".to_owned(), |region| bytes(region.bytes))
    };
    for board in boards {
        table.row([
            board.id.clone(),
            board.core.id.clone(),
            board.clock_mhz.map_or("-".to_owned(), |mhz| mhz.to_string()),
            size(board.largest_ram()),
            size(board.largest_flash()),
            board.emulated_by.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    format!("{table}{} boards\n", boards.len())
}

fn page(board: &Board) -> String {
    let mut text = format!("{} ({})\n", board.name, board.id);
    let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:14} {value}\n"));
    line("vendor", &board.vendor);
    line("chip", &board.soc);
    line("core", &format!("{} x {}", board.core_count, board.core.name));
    if let Some(mhz) = board.clock_mhz {
        line("clock", &format!("{mhz} MHz"));
    }
    for region in &board.memory {
        let kind = match region.kind {
            RegionKind::Ram => "RAM",
            _ => region.kind.as_str(),
        };
        let origin = region.origin.map_or(String::new(), |origin| format!(" at {origin:#010x}"));
        line(kind, &format!("{} {}{origin}", region.name, bytes(region.bytes)));
    }
    for reserved in &board.reserved {
        let assumed = if reserved.assumption { " (an assumption)" } else { "" };
        let what =
            format!("{} of {}: {}{assumed}", bytes(reserved.bytes), reserved.region, reserved.what);
        line("reserved", &what);
    }
    if let Some(emulated_by) = &board.emulated_by {
        line("QEMU", &format!("qemu:{} runs on {emulated_by}", board.id));
    }
    for note in &board.notes {
        line("note", note);
    }
    text.push_str("sources\n");
    for (fact, source) in &board.sources {
        text.push_str(&format!("  {fact:14} {source}\n"));
    }
    for (fact, reason) in &board.unverified {
        text.push_str(&format!("  {fact:14} UNVERIFIED: {reason}\n"));
    }
    text
}
