//! The embedded boards and cores, and finding one by name.

use crate::board::Board;
use crate::cores::Core;
use crate::read::{parse_board, parse_toml, parse_unresolved};
use kinglet_diag::{Diagnostic, Failure, Place, Result, bug, code};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/data.rs"));

/// No board file is near this long; a longer one is not read.
const MAX_FILE_BYTES: u64 = 1 << 20;

static CORE_LIST: LazyLock<Result<Vec<Core>>> = LazyLock::new(load_cores);
static BOARD_LIST: LazyLock<Result<Vec<Board>>> = LazyLock::new(load_boards);

fn load_cores() -> Result<Vec<Core>> {
    CORES.iter().map(|(stem, text)| parse_toml(text).map_err(|f| f.in_file(stem))).collect()
}

fn load_boards() -> Result<Vec<Board>> {
    let cores = CORE_LIST.as_ref().map_err(Clone::clone)?;
    let mut boards = Vec::new();
    for (stem, text) in BOARDS {
        boards.push(parse_unresolved(text, cores).map_err(|failure| failure.in_file(stem))?);
    }
    let emulated: Vec<Board> = boards.iter().filter(|board| board.is_emulated()).cloned().collect();
    for board in &mut boards {
        resolve_emulator(board, &emulated).map_err(|failure| failure.in_file(&board.id))?;
    }
    Ok(boards)
}

/// All cores, by id.
pub fn cores() -> &'static [Core] {
    // The files are in the binary and a test reads each: an empty list is never seen.
    CORE_LIST.as_ref().map(Vec::as_slice).unwrap_or_default()
}

/// All boards, by id, the emulated ones among them.
pub fn all() -> &'static [Board] {
    BOARD_LIST.as_ref().map(Vec::as_slice).unwrap_or_default()
}

/// The core with this id.
///
/// # Errors
///
/// K0603 with the nearest ids.
pub fn core(id: &str) -> Result<&'static Core> {
    cores().iter().find(|core| core.id == id).ok_or_else(|| {
        let help = nearest_help(id, cores().iter().map(|core| core.id.as_str()), "the cores");
        Diagnostic::error(code::CORE_UNKNOWN, format!("there is no core {id:?}")).help(help).into()
    })
}

/// The board with this id or alias, in any case.
///
/// # Errors
///
/// K0601 with the nearest ids.
pub fn find(id: &str) -> Result<&'static Board> {
    if let Err(failure) = BOARD_LIST.as_ref() {
        return Err(bug(format!("an embedded board file is wrong: {failure}")));
    }
    let wanted = id.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let by_id = all().iter().find(|board| board.id == wanted);
    let by_alias = || all().iter().find(|board| board.aliases.contains(&wanted));
    by_id.or_else(by_alias).ok_or_else(|| {
        let names = all().iter().flat_map(|board| {
            std::iter::once(board.id.as_str()).chain(board.aliases.iter().map(String::as_str))
        });
        let help = nearest_help(&wanted, names, "`kinglet boards` lists all of them; the boards");
        Diagnostic::error(code::BOARD_UNKNOWN, format!("there is no board {id:?}"))
            .help(help)
            .into()
    })
}

/// The file of an embedded board as it is written: a pattern for one of the user's own.
pub fn source(id: &str) -> Option<&'static str> {
    BOARDS.iter().find(|(stem, _)| *stem == id).map(|(_, text)| *text)
}

/// A board by id, or, when `name` ends in `.toml`, from a file.
///
/// # Errors
///
/// Those of [`find`] and [`load_file`].
pub fn open(name: &str) -> Result<Cow<'static, Board>> {
    if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
        return load_file(Path::new(name)).map(Cow::Owned);
    }
    find(name).map(Cow::Borrowed)
}

/// Reads a board of the user's own from a file.
///
/// # Errors
///
/// K0606 when the file cannot be read or is no text; those of [`parse_board`].
pub fn load_file(path: &Path) -> Result<Board> {
    let shown = path.display().to_string();
    let unreadable = |why: String| -> Failure {
        Diagnostic::error(
            code::BOARD_FILE_UNREADABLE,
            format!("the board file cannot be read: {why}"),
        )
        .at(Place::File(shown.clone()))
        .help("check the path; a board of Kinglet's own is named without `.toml`")
        .into()
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))?;
    parse_board(&text).map_err(|failure| failure.in_file(&shown))
}

/// Sets `emulated_by`: to itself for an emulated machine, to the machine the file names, or else to
/// the machine that stands for the board's core.
pub(crate) fn resolve_emulator(board: &mut Board, boards: &[Board]) -> Result<()> {
    if board.is_emulated() {
        board.emulated_by = Some(board.id.clone());
        return Ok(());
    }
    let mut machines = boards.iter().filter(|other| other.is_emulated());
    let Some(id) = &board.emulated_by else {
        let stands = |other: &Board| {
            other.emulated.as_ref().is_some_and(|e| e.stands_for.contains(&board.core.id))
        };
        board.emulated_by = machines.find(|other| stands(other)).map(|other| other.id.clone());
        return Ok(());
    };
    let wrong = |message: String, help: String| -> Result<()> {
        Err(Diagnostic::error(code::BOARD_EMULATOR_UNFIT, message).help(help).into())
    };
    let ids: Vec<&str> = machines.clone().map(|other| other.id.as_str()).collect();
    let Some(machine) = machines.find(|other| other.id == *id) else {
        let help = nearest_help(id, ids.into_iter(), "the emulated machines");
        return wrong(format!("there is no emulated machine {id:?}"), help);
    };
    if !machine.core.runs_code_of(board.core) {
        let message = format!(
            "{id} has a {}, which does not run code for {}",
            machine.core.name, board.core.name
        );
        return wrong(
            message,
            "leave `emulated_by` out: Kinglet then takes the machine that stands for the core"
                .into(),
        );
    }
    Ok(())
}

/// A help line that names the ids nearest to `wanted`, or all of them when there are few.
pub(crate) fn nearest_help<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str>,
    what: &str,
) -> String {
    let names: Vec<&str> = names.collect();
    let near = nearest(wanted, &names);
    if !near.is_empty() {
        return format!("did you mean {}?", near.join(", "));
    }
    if names.len() <= 24 {
        return format!("{what} are {}", names.join(", "));
    }
    format!(
        "{what} are {} in number; a board of your own is a TOML file: `--board ./my.toml`",
        names.len()
    )
}

/// At most three names like `wanted`: those that contain it or are contained in it first, then those
/// a few typing errors away.
fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    let plain = |name: &str| name.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>();
    let key = plain(&wanted);
    let mut scored: Vec<(usize, usize, &str)> = Vec::new();
    for name in names {
        let other = plain(name);
        let distance = strsim::damerau_levenshtein(&key, &other);
        let contains = key.len() >= 3 && (other.contains(&key) || key.contains(&other));
        if contains || distance * 3 <= key.len().max(other.len()) {
            scored.push((usize::from(!contains && distance > 2), distance, name));
        }
    }
    scored.sort_unstable();
    scored.dedup_by_key(|(_, _, name)| *name);
    scored.into_iter().take(3).map(|(_, _, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::is_id;

    #[test]
    fn every_embedded_file_reads_and_is_named_after_its_id() {
        CORE_LIST.as_ref().unwrap_or_else(|failure| panic!("{failure}"));
        BOARD_LIST.as_ref().unwrap_or_else(|failure| panic!("{failure}"));
        let stems: Vec<_> = BOARDS.iter().map(|(stem, _)| *stem).collect();
        assert!(source("nucleo-f446re").is_some_and(|text| parse_board(text).is_ok()));
        assert_eq!(all().iter().map(|board| board.id.as_str()).collect::<Vec<_>>(), stems);
        let stems: Vec<_> = CORES.iter().map(|(stem, _)| *stem).collect();
        assert_eq!(cores().iter().map(|core| core.id.as_str()).collect::<Vec<_>>(), stems);
        assert!(cores().iter().all(|core| is_id(&core.id)));
    }

    #[test]
    fn nearest_prefers_what_contains_the_word() {
        let names = ["nucleo-f446re", "nucleo-f401re", "arduino-nano-33-ble", "esp32-c3"];
        assert_eq!(nearest("f446re", &names), ["nucleo-f446re"]);
        assert_eq!(nearest("nucleo-f466re", &names), ["nucleo-f446re", "nucleo-f401re"]);
        assert_eq!(nearest("Nano 33 BLE", &names), ["arduino-nano-33-ble"]);
        assert!(nearest("zzz", &names).is_empty());
        assert!(nearest("", &names).is_empty());
    }
}
