//! From the text of a board file to a [`Board`], or to every reason why not.

use crate::board::{Accelerator, Board, Class, Emulated, Region, Reserved};
use crate::catalog;
use crate::cores::Core;
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// The mark of a fact that a file gives without a source.
pub(crate) const NO_SOURCE: &str = "no source given";

/// A board file as it is written. Semantic checks speak of lines, hence the spans.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardFile {
    id: Spanned<String>,
    name: String,
    vendor: String,
    soc: String,
    class: Class,
    core: Spanned<String>,
    #[serde(default = "one")]
    core_count: Spanned<u32>,
    #[serde(default)]
    other_cores: Vec<String>,
    #[serde(default)]
    clock_mhz: Option<Spanned<f64>>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    memory: Vec<Spanned<Region>>,
    #[serde(default)]
    reserved: Vec<Spanned<Reserved>>,
    #[serde(default)]
    accelerators: Vec<Spanned<Accelerator>>,
    #[serde(default)]
    emulated: Option<Spanned<Emulated>>,
    #[serde(default)]
    emulated_by: Option<Spanned<String>>,
    #[serde(default)]
    sources: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    unverified: BTreeMap<String, Spanned<String>>,
}

fn one() -> Spanned<u32> {
    Spanned::new(0..0, 1)
}

/// Reads the text of a board file. The board's core must be one of [`crate::cores`] and its
/// emulated machine one of [`crate::all`]. A fact without a source is listed among the board's
/// unverified facts.
///
/// # Errors
///
/// Everything that is wrong with the text, each with its line: not TOML, an unknown or missing key
/// (K0602), an unknown core (K0603), facts that contradict each other (K0604), an emulated machine
/// that does not exist or cannot run the core's code (K0605).
pub fn parse_board(text: &str) -> Result<Board> {
    let mut board = parse_unresolved(text, catalog::cores())?;
    catalog::resolve_emulator(&mut board, crate::all())?;
    Ok(board)
}

/// [`parse_board`] without looking for the board's emulated machine.
pub(crate) fn parse_unresolved(text: &str, cores: &'static [Core]) -> Result<Board> {
    let file: BoardFile = parse_toml(text)?;
    let mut report = Report { text, found: Vec::new() };
    let core = cores.iter().find(|core| core.id == *file.core.get_ref());
    if core.is_none() {
        report.unknown_core(&file.core, cores);
    }
    check_head(&file, &mut report);
    check_memory(&file, &mut report);
    if let Some(emulated) = &file.emulated {
        check_emulated(emulated, core, cores, &mut report);
    }
    let (Some(core), true) = (core, report.found.is_empty()) else {
        return Err(Failure::new(report.found));
    };
    let (source_lines, unverified_lines) = (lines(&file.sources), lines(&file.unverified));
    let mut board = Board {
        id: file.id.into_inner(),
        aliases: file.aliases,
        name: file.name,
        vendor: file.vendor,
        soc: file.soc,
        class: file.class,
        core,
        core_count: file.core_count.into_inner(),
        other_cores: file.other_cores,
        clock_mhz: file.clock_mhz.map(Spanned::into_inner),
        memory: file.memory.into_iter().map(Spanned::into_inner).collect(),
        reserved: file.reserved.into_iter().map(Spanned::into_inner).collect(),
        accelerators: file.accelerators.into_iter().map(Spanned::into_inner).collect(),
        emulated: file.emulated.map(Spanned::into_inner),
        emulated_by: file.emulated_by.map(Spanned::into_inner),
        notes: file.notes,
        sources: plain(file.sources),
        unverified: plain(file.unverified),
    };
    check_sources(&mut board, &source_lines, &unverified_lines, &mut report);
    if report.found.is_empty() { Ok(board) } else { Err(Failure::new(report.found)) }
}

/// Parses TOML into `T`; what is wrong is K0602 with its line.
pub(crate) fn parse_toml<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().trim_end_matches('.').replace('\n', ", ");
        let mut diagnostic = Diagnostic::error(code::BOARD_FILE_SYNTAX, message);
        if let Some(span) = error.span() {
            diagnostic = diagnostic.at(Place::Line(line_of(text, span.start)));
        }
        diagnostic.help("compare with a board file that is known to be right: `kinglet boards`, or the folder crates/boards/data/boards of the source").into()
    })
}

/// The line, counted from 1, of a byte of the text.
fn line_of(text: &str, at: usize) -> u64 {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    1 + before.iter().fold(0, |lines, byte| lines + u64::from(*byte == b'\n'))
}

fn lines(map: &BTreeMap<String, Spanned<String>>) -> BTreeMap<String, usize> {
    map.iter().map(|(key, value)| (key.clone(), value.span().start)).collect()
}

fn plain(map: BTreeMap<String, Spanned<String>>) -> BTreeMap<String, String> {
    map.into_iter().map(|(key, value)| (key, value.into_inner())).collect()
}

/// What was found wrong so far.
struct Report<'a> {
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl Report<'_> {
    fn line(&self, at: usize) -> Place {
        Place::Line(line_of(self.text, at))
    }

    fn invalid(&mut self, at: usize, message: impl Into<String>, help: &str) {
        let place = self.line(at);
        self.found.push(Diagnostic::error(code::BOARD_FILE_INVALID, message).at(place).help(help));
    }

    fn unknown_core(&mut self, id: &Spanned<String>, cores: &[Core]) {
        let message = format!("there is no core {:?}", id.get_ref());
        let names = cores.iter().map(|core| core.id.as_str());
        let help = catalog::nearest_help(id.get_ref(), names, "the cores");
        let place = self.line(id.span().start);
        self.found.push(Diagnostic::error(code::CORE_UNKNOWN, message).at(place).help(help));
    }
}

/// Whether `id` may be typed without quotes and stand in a file name: `nucleo-f446re`.
pub(crate) fn is_id(id: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty() && id.chars().all(inside) && !id.starts_with('-') && !id.ends_with('-')
}

fn check_head(file: &BoardFile, report: &mut Report<'_>) {
    let (id, at) = (file.id.get_ref(), file.id.span().start);
    if !is_id(id) {
        let message = format!("the id {id:?} is not of lower case letters, digits and hyphens");
        report.invalid(at, message, "write it like `nucleo-f446re`");
    }
    if let Some(clock) = &file.clock_mhz {
        let mhz = *clock.get_ref();
        if !(mhz.is_finite() && mhz > 0.0) {
            let message = format!("a clock of {mhz} MHz cannot be");
            report.invalid(clock.span().start, message, "leave `clock_mhz` out if it is not known");
        }
    }
    if *file.core_count.get_ref() == 0 {
        let at = file.core_count.span().start;
        report.invalid(at, "`core_count` is 0", "leave it out if there is one core");
    }
    for accelerator in &file.accelerators {
        if accelerator.get_ref().tops.is_some_and(|tops| !(tops.is_finite() && tops > 0.0)) {
            let at = accelerator.span().start;
            report.invalid(
                at,
                "`tops` is not a positive number",
                "leave it out if it is not known",
            );
        }
    }
}

fn check_memory(file: &BoardFile, report: &mut Report<'_>) {
    if file.memory.is_empty() && file.class != Class::Accelerator {
        let help = "add a table `[[memory]]` for each region, with `name`, `kind` and `bytes`";
        report.invalid(file.id.span().start, "the board has no memory", help);
    }
    for (index, spanned) in file.memory.iter().enumerate() {
        let (region, at) = (spanned.get_ref(), spanned.span().start);
        let name = &region.name;
        if region.bytes == 0 {
            let message = format!("the region {name} has no bytes");
            report.invalid(at, message, "give its size in bytes, or leave the region out");
        }
        if region.origin.is_some() && region.end().is_none() {
            let message = format!("the region {name} ends beyond the last address");
            report.invalid(at, message, "check `origin` and `bytes`");
        }
        if region.wait_states.is_some() != region.line_bytes.is_some()
            || region.line_bytes == Some(0)
        {
            let message =
                format!("the region {name} has wait states without a line, or a line without them");
            report.invalid(at, message, "give both `wait_states` and `line_bytes`, or neither");
        }
        let before = file.memory.get(..index).unwrap_or_default();
        for other in before.iter().map(Spanned::get_ref) {
            if other.name == *name {
                let message = format!("two regions are called {name}");
                report.invalid(at, message, "give each region a name of its own");
            } else if overlap(other, region) {
                let message = format!("the regions {} and {name} overlap", other.name);
                let help =
                    "list memory that has several addresses once, at the address the firmware uses";
                report.invalid(at, message, help);
            }
        }
    }
    check_reserved(file, report);
}

fn overlap(a: &Region, b: &Region) -> bool {
    let (Some(a_start), Some(b_start)) = (a.origin, b.origin) else { return false };
    let (Some(a_end), Some(b_end)) = (a.end(), b.end()) else { return false };
    a_start < b_end && b_start < a_end
}

fn check_reserved(file: &BoardFile, report: &mut Report<'_>) {
    let mut taken: BTreeMap<&str, u64> = BTreeMap::new();
    for spanned in &file.reserved {
        let (reserved, at) = (spanned.get_ref(), spanned.span().start);
        let what = &reserved.what;
        if reserved.assumption == reserved.source.is_some() {
            let message = format!(
                "what {what} takes is neither sourced nor marked as an assumption, or both"
            );
            report.invalid(at, message, "give either `source = \"...\"` or `assumption = true`");
        }
        let region = file.memory.iter().map(Spanned::get_ref).find(|r| r.name == reserved.region);
        let Some(region) = region else {
            let message = format!(
                "{what} takes memory from {:?}, which is no region of the board",
                reserved.region
            );
            report.invalid(at, message, "name one of the `[[memory]]` tables");
            continue;
        };
        let sum = taken.entry(&reserved.region).or_default();
        *sum = sum.saturating_add(reserved.bytes);
        if *sum > region.bytes {
            let message = format!("{what} takes more than the region {} has", region.name);
            report.invalid(at, message, "check `bytes`");
        }
    }
}

fn check_emulated(
    spanned: &Spanned<Emulated>,
    core: Option<&Core>,
    cores: &[Core],
    report: &mut Report<'_>,
) {
    let (emulated, at) = (spanned.get_ref(), spanned.span().start);
    let ns = emulated.timer.ns_per_tick;
    if !(ns.is_finite() && ns > 0.0) {
        report.invalid(
            at,
            "`ns_per_tick` is not a positive number",
            "give the nanoseconds a tick takes",
        );
    }
    if !matches!(emulated.timer.bits, 1..=64) {
        report.invalid(
            at,
            "`bits` is not between 1 and 64",
            "give the width of the timer's counter",
        );
    }
    for id in &emulated.stands_for {
        let Some(real) = cores.iter().find(|core| core.id == *id) else {
            report.unknown_core(&Spanned::new(spanned.span(), id.clone()), cores);
            continue;
        };
        if core.is_some_and(|core| !core.runs_code_of(real)) {
            let message =
                format!("the machine cannot stand for {id}: it does not run that core's code");
            report.invalid(at, message, "take the core out of `stands_for`");
        }
    }
}

fn check_sources(
    board: &mut Board,
    source_lines: &BTreeMap<String, usize>,
    unverified_lines: &BTreeMap<String, usize>,
    report: &mut Report<'_>,
) {
    let facts = board.facts();
    for (key, at) in source_lines {
        if !facts.contains(&key.as_str()) {
            let message = format!("`sources` names {key}, which is no fact of this file");
            report.invalid(
                *at,
                message,
                &format!("the facts of this file are {}", facts.join(", ")),
            );
        }
    }
    // A fact that is not given may be listed as unverified, to say why it is missing.
    for (key, at) in unverified_lines {
        if !KNOWN_FACTS.contains(&key.as_str()) {
            let message = format!("`unverified` names {key}, which is no fact of a board file");
            report.invalid(*at, message, &format!("the facts are {}", KNOWN_FACTS.join(", ")));
        }
    }
    for fact in facts {
        if !board.sources.contains_key(fact) && !board.unverified.contains_key(fact) {
            board.unverified.insert(fact.to_owned(), NO_SOURCE.to_owned());
        }
    }
    if board.clock_mhz.is_none() && !board.unverified.contains_key("clock_mhz") {
        board.unverified.insert("clock_mhz".to_owned(), "not stated".to_owned());
    }
}

/// Every key that `sources` and `unverified` may have.
const KNOWN_FACTS: [&str; 8] = [
    "soc",
    "core",
    "clock_mhz",
    "memory",
    "memory_attributes",
    "flash_timing",
    "accelerators",
    "emulated",
];
