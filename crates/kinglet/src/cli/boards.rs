//! `kinglet boards [WORD...]`, `kinglet boards show ID`

use super::{Done, Show};
use crate::table::{Align, Table, bytes};
use kinglet_boards::{Board, RegionKind};
use kinglet_diag::{Diagnostic, Result, code};
use serde_json::json;

/// List the boards, or show all that is known of one
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  kinglet boards
  kinglet boards cortex-m4 st
  kinglet boards emulated
  kinglet boards show nucleo-f446re
  kinglet boards show nucleo-f446re --toml > my-board.toml"
)]
pub struct Args {
    /// Words that must all occur in id, name, vendor, chip, core or class; `emulated` is one
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show all that is known of a board, with the source of each fact
    Show {
        /// The board, or a .toml file of your own
        board: String,
        /// Print its file instead: the pattern for one of your own
        #[arg(long)]
        toml: bool,
    },
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    if let Some(Command::Show { board, toml }) = &args.command {
        return one(board, *toml, show);
    }
    let found: Vec<&Board> =
        kinglet_boards::all().iter().filter(|board| matches(board, &args.words)).collect();
    if found.is_empty() {
        return Err(Diagnostic::error(
            code::BOARD_NONE_FOUND,
            format!("no board has all of these words: {}", args.words.join(" ")),
        )
        .help("fewer or shorter words find more; `kinglet boards` lists all")
        .into());
    }
    show.text(&list(&found));
    show.object("kinglet.boards/1", json!({ "boards": found }));
    Ok(Done::default())
}

fn matches(board: &Board, words: &[String]) -> bool {
    let class = format!("{:?}", board.class);
    let kind = if board.is_emulated() { "emulated" } else { "" };
    let mut texts: Vec<&str> = vec![
        &board.id,
        &board.name,
        &board.vendor,
        &board.soc,
        &board.core.id,
        &board.core.name,
        &class,
        kind,
    ];
    texts.extend(board.aliases.iter().map(String::as_str));
    let text = texts.join("\n").to_lowercase();
    words.iter().all(|word| text.contains(&word.to_lowercase()))
}

fn list(boards: &[&Board]) -> String {
    let mut table = Table::new(&[
        ("board", Align::Left),
        ("core", Align::Left),
        ("MHz", Align::Right),
        ("largest RAM", Align::Right),
        ("all RAM", Align::Right),
        ("flash", Align::Right),
        ("run by", Align::Left),
        ("name", Align::Left),
    ]);
    for board in boards {
        let size = |count: u64| if count == 0 { "-".to_owned() } else { bytes(count) };
        table.row([
            board.id.clone(),
            board.core.id.clone(),
            board.clock_mhz.map_or("-".to_owned(), |mhz| mhz.to_string()),
            size(board.largest_ram().map_or(0, |region| region.bytes)),
            size(board.total_bytes(RegionKind::Ram)),
            size(board.largest_flash().map_or(0, |region| region.bytes)),
            if board.is_emulated() {
                "itself"
            } else {
                board.emulated_by.as_deref().unwrap_or("-")
            }
            .to_owned(),
            board.name.clone(),
        ]);
    }
    format!(
        "{table}\n{} boards; sizes in bytes. `kinglet boards show BOARD` has the rest.\n",
        boards.len()
    )
}

fn one(id: &str, toml: bool, show: &Show) -> Result<Done> {
    let board = kinglet_boards::open(id)?;
    if toml {
        let text = kinglet_boards::source(&board.id)
            .filter(|_| matches!(board, std::borrow::Cow::Borrowed(_)));
        match text {
            Some(text) => show.text(text),
            // A file of the user's own is as it is.
            None => show.text(&String::from_utf8_lossy(&crate::model::read_file(id.as_ref())?)),
        }
    } else {
        show.text(&describe(&board));
    }
    show.object("kinglet.boards/1", json!({ "boards": [&*board] }));
    Ok(Done::default())
}

fn describe(board: &Board) -> String {
    let mut text = format!("{} ({}), {}\n", board.name, board.id, board.vendor);
    let mut fact = |name: &str, value: &str, key: &str| {
        let source = match (board.sources.get(key), board.unverified.get(key)) {
            (Some(source), None) => format!("  [{source}]"),
            (source, Some(why)) => format!(
                "  [unverified: {why}{}]",
                source.map_or(String::new(), |source| format!("; {source}"))
            ),
            (None, None) => String::new(),
        };
        text.push_str(&format!("  {name:<9} {value}{source}\n"));
    };
    fact("chip", &board.soc, "soc");
    let clock = board.clock_mhz.map_or("clock not known".to_owned(), |mhz| format!("{mhz} MHz"));
    fact("core", &format!("{} x {}", board.core_count, board.core.name), "core");
    fact("clock", &clock, "clock_mhz");
    fact("memory", "", "memory");
    for region in &board.memory {
        let mut marks = vec![region.kind.as_str().to_owned()];
        marks.extend(region.origin.map(|origin| format!("at {origin:#010x}")));
        marks.extend((!region.contiguous).then(|| "total only, not one block".to_owned()));
        marks.extend(region.tightly_coupled.then(|| "tightly coupled".to_owned()));
        marks.extend(region.cached.filter(|&cached| cached).map(|_| "behind a cache".to_owned()));
        marks.extend(region.dma.filter(|&dma| !dma).map(|_| "no DMA".to_owned()));
        marks.extend(region.notes.clone());
        text.push_str(&format!(
            "    {:<10} {:>13} bytes  {}\n",
            region.name,
            bytes(region.bytes),
            marks.join(", ")
        ));
    }
    for reserved in &board.reserved {
        let who = reserved.source.as_deref().unwrap_or("an assumption of Kinglet's");
        text.push_str(&format!(
            "    less       {:>13} bytes  of {} for {} [{who}]\n",
            bytes(reserved.bytes),
            reserved.region,
            reserved.what
        ));
    }
    for accelerator in &board.accelerators {
        text.push_str(&format!(
            "  beside it {}; Kinglet does not build for it\n",
            accelerator.name
        ));
    }
    match (&board.emulated, &board.emulated_by) {
        (Some(emulated), _) => text.push_str(&format!(
            "  emulated  {}\n            stands for {}\n",
            emulated.emulates,
            emulated.stands_for.join(", ")
        )),
        (None, Some(machine)) => {
            text.push_str(&format!(
                "  run by    {machine}, the emulated machine that stands for its core\n"
            ));
        }
        (None, None) => text.push_str("  run by    no emulated machine\n"),
    }
    if !board.core.builds() {
        text.push_str("  note      no firmware is built for this core; `fit` estimates\n");
    }
    for note in &board.notes {
        text.push_str(&format!("  note      {note}\n"));
    }
    text
}
