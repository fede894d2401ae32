//! A board file of the user's own: the right one is read, each wrong one gets its diagnostic.

use kinglet_boards::{RegionKind, find, load_file, open, parse_board};
use kinglet_diag::{Code, Failure, Place, code};
use proptest::prelude::*;

const GOOD: &str = r#"id = "my-board"
name = "My board"
vendor = "me"
soc = "STM32F446RE"
class = "microcontroller"
core = "cortex-m4f"
clock_mhz = 180

[[memory]]
name = "FLASH"
kind = "flash"
origin = 0x0800_0000
bytes = 524_288

[[memory]]
name = "SRAM1"
kind = "ram"
origin = 0x2000_0000
bytes = 114_688

[[memory]]
name = "SRAM2"
kind = "ram"
origin = 0x2001_c000
bytes = 16_384

[[reserved]]
what = "boot loader"
region = "FLASH"
bytes = 32_768
assumption = true

[sources]
soc = "printed on it"
"#;

fn failure(text: &str) -> Failure {
    parse_board(text).map(|board| panic!("{board:?} was read")).unwrap_err()
}

/// The only diagnostic has this code, is on this line, and has a help line.
fn refused(text: &str, code: Code, line: u64, words: &str) {
    let failure = failure(text);
    let [diagnostic] = failure.diagnostics() else { panic!("{failure:?}") };
    assert_eq!(diagnostic.code, code, "{diagnostic}");
    assert_eq!(diagnostic.places, [Place::Line(line)], "{diagnostic}");
    assert!(diagnostic.message.contains(words), "{diagnostic}");
    assert!(diagnostic.help.is_some(), "{diagnostic}");
    assert!(!diagnostic.message.ends_with('.'), "{diagnostic}");
}

fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn a_good_file_is_read() {
    let board = parse_board(GOOD).unwrap();
    assert_eq!(board.largest_ram().unwrap().bytes, 128 * 1024, "the two blocks adjoin");
    assert_eq!(board.largest_ram().unwrap().name, "SRAM1+SRAM2");
    assert_eq!(board.emulator().unwrap().id, "mps2-an386");
    assert_eq!(board.reserved_bytes(RegionKind::Flash), 32_768);
    assert_eq!(board.reserved_bytes(RegionKind::Ram), 0);
    assert_eq!(board.sources["soc"], "printed on it");
    let unsourced: Vec<_> = board.unverified.keys().map(String::as_str).collect();
    assert_eq!(unsourced, ["clock_mhz", "core", "memory"]);
}

#[test]
fn k0602_for_what_is_no_board_file() {
    let syntax = code::BOARD_FILE_SYNTAX;
    refused(&with("clock_mhz", "clokc_mhz"), syntax, 7, "unknown field `clokc_mhz`");
    refused(
        &with("origin = 0x2000_0000", "orign = 0x2000_0000"),
        syntax,
        18,
        "unknown field `orign`",
    );
    refused(&with("bytes = 114_688", "bytes = -1"), syntax, 19, "invalid value");
    refused(&with("\"ram\"", "\"rom\""), syntax, 17, "unknown variant `rom`");
    refused(&with("kind = \"ram\"\n", ""), syntax, 15, "missing field `kind`");
    refused(&with("class = \"microcontroller\"", "class = microcontroller"), syntax, 5, "");
    assert_eq!(failure("").first().code, syntax);
    assert_eq!(failure("id = ").first().code, syntax);
}

#[test]
fn k0603_names_the_nearest_core() {
    let text = with("cortex-m4f", "cortex-m4f2");
    refused(&text, code::CORE_UNKNOWN, 6, "no core \"cortex-m4f2\"");
    assert!(failure(&text).first().help.as_deref().unwrap().contains("cortex-m4f"));
    let error = kinglet_boards::core("cortex-m4ff").unwrap_err();
    assert_eq!(error.first().code, code::CORE_UNKNOWN);
}

#[test]
fn k0604_for_facts_that_contradict_each_other() {
    let invalid = code::BOARD_FILE_INVALID;
    refused(&with("my-board", "My Board"), invalid, 1, "lower case");
    refused(&with("clock_mhz = 180", "clock_mhz = 0"), invalid, 7, "clock");
    refused(&with("clock_mhz = 180", "clock_mhz = nan"), invalid, 7, "clock");
    refused(&with("bytes = 114_688", "bytes = 0"), invalid, 15, "SRAM1 has no bytes");
    refused(&with("0x2001_c000", "0x2001_bfff"), invalid, 21, "SRAM1 and SRAM2 overlap");
    refused(&with("\"SRAM2\"", "\"SRAM1\""), invalid, 21, "two regions are called SRAM1");
    refused(&with("bytes = 32_768", "bytes = 524_289"), invalid, 27, "more than the region");
    refused(&with("region = \"FLASH\"", "region = \"ROM\""), invalid, 27, "no region");
    refused(&with("assumption = true", ""), invalid, 27, "neither sourced");
    refused(&with("soc = \"printed", "emulated = \"printed"), invalid, 34, "no fact of this file");
    let beyond = with("0x2001_c000", "0x7fff_ffff_ffff_ffff");
    let one = beyond.replace("bytes = 16_384", "bytes = 0x7fff_ffff_ffff_ffff");
    assert!(parse_board(&one).is_ok(), "ends at the last address but one of 64 bits");
}

#[test]
fn k0604_reports_all_contradictions_at_once() {
    let text = with("clock_mhz = 180", "clock_mhz = -1").replace("bytes = 16_384", "bytes = 0");
    assert_eq!(failure(&text).diagnostics().len(), 2);
}

#[test]
fn k0605_for_an_emulator_that_does_not_do() {
    let by = |id: &str| with("core = ", &format!("emulated_by = \"{id}\"\ncore = "));
    let unfit = failure(&by("mps2-an385"));
    assert_eq!(unfit.first().code, code::BOARD_EMULATOR_UNFIT);
    assert!(unfit.first().message.contains("does not run code"), "{unfit}");
    let unknown = failure(&by("mps2-an3866"));
    assert_eq!(unknown.first().code, code::BOARD_EMULATOR_UNFIT);
    assert!(unknown.first().help.as_deref().unwrap().contains("mps2-an386"));
    let board = parse_board(&by("mps2-an500")).unwrap();
    assert_eq!(board.emulator().unwrap().id, "mps2-an500");
}

#[test]
fn k0606_for_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.toml");
    let unreadable = |words: &str| {
        let failure = load_file(&path).map(|_| panic!("it was read")).unwrap_err();
        assert_eq!(failure.first().code, code::BOARD_FILE_UNREADABLE);
        assert_eq!(failure.first().places, [Place::File(path.display().to_string())]);
        assert!(failure.first().message.contains(words), "{failure}");
    };
    unreadable("");
    std::fs::write(&path, b"\xff\xfe").unwrap();
    unreadable("UTF-8");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    unreadable("longer");
    std::fs::write(&path, GOOD).unwrap();
    assert_eq!(open(path.to_str().unwrap()).unwrap().id, "my-board");
    std::fs::write(&path, with("clock_mhz", "clokc_mhz")).unwrap();
    let failure = load_file(&path).map(|_| panic!("it was read")).unwrap_err();
    assert_eq!(failure.first().places, [Place::File(path.display().to_string()), Place::Line(7)]);
}

#[test]
fn k0601_names_the_nearest_boards() {
    let error = find("nucleo-h743zi3").unwrap_err();
    assert_eq!(error.first().code, code::BOARD_UNKNOWN);
    assert!(error.first().help.as_deref().unwrap().contains("nucleo-h743zi2"), "{error:?}");
    let error = open("quite-another-thing").unwrap_err();
    assert_eq!(error.first().code, code::BOARD_UNKNOWN);
    assert!(error.first().help.as_deref().unwrap().contains("kinglet boards"), "{error:?}");
    assert_eq!(find("NUCLEO_H743ZI2").unwrap().id, "nucleo-h743zi2");
    assert_eq!(find("rpi-5").unwrap().id, "raspberry-pi-5", "by its alias");
}

proptest! {
    /// Whatever is done to a good file, the answer is a board or a diagnostic, never a panic.
    #[test]
    fn damaged_files_never_panic(at in 0usize..GOOD.len(), cut in 0usize..80, add in "[ -~\n]{0,12}") {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{add}{}", &GOOD[..at], &GOOD[end..]);
        if let Err(failure) = parse_board(&text) {
            prop_assert!(failure.diagnostics().iter().all(|d| d.code.as_str().starts_with("K06")));
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,200}") {
        let _ = parse_board(&text);
        let _ = find(&text);
    }
}
