//! The embedded data: every board and core is complete, sourced and consistent.

use kinglet_boards::{Board, Class, Core, RegionKind, all, core, cores, find};
use std::collections::BTreeMap;

/// What the reader writes where a file gives no source; none of ours may need it.
const NO_SOURCE: &str = "no source given";

fn real() -> impl Iterator<Item = &'static Board> {
    all().iter().filter(|board| !board.is_emulated())
}

#[test]
fn at_least_forty_real_boards() {
    assert!(real().count() >= 40, "{} real boards", real().count());
    for class in [Class::Microcontroller, Class::Linux, Class::Accelerator] {
        assert!(real().any(|board| board.class == class), "{class:?}");
    }
}

#[test]
fn ids_and_aliases_are_unique() {
    let mut seen = BTreeMap::new();
    for board in all() {
        for name in std::iter::once(&board.id).chain(&board.aliases) {
            let other = seen.insert(name.as_str(), board.id.as_str());
            assert!(other.is_none(), "{name} is {} and {other:?}", board.id);
        }
    }
}

#[test]
fn every_fact_is_sourced_or_marked_unverified() {
    for board in all() {
        for fact in board.facts() {
            let source = board.sources.get(fact).or_else(|| board.unverified.get(fact));
            let text = source.unwrap_or_else(|| panic!("{}: {fact}", board.id));
            assert!(text.len() > 8 && text != NO_SOURCE, "{}: {fact}: {text:?}", board.id);
        }
        if board.clock_mhz.is_none() {
            assert!(board.unverified["clock_mhz"].len() > 12, "{}: why no clock", board.id);
        }
    }
    for core in cores() {
        for fact in core.facts() {
            assert!(
                core.sources.contains_key(fact) || core.unverified.contains_key(fact),
                "{}: {fact}",
                core.id
            );
        }
        for fact in core.sources.keys().chain(core.unverified.keys()) {
            assert!(core.facts().contains(&fact.as_str()), "{}: {fact} has no value", core.id);
        }
    }
}

#[test]
fn every_core_is_used_or_stood_for() {
    for core in cores() {
        let used = all().iter().any(|board| board.core.id == core.id);
        let stood_for = |board: &Board| {
            board.emulated.as_ref().is_some_and(|emulated| emulated.stands_for.contains(&core.id))
        };
        assert!(used || all().iter().any(stood_for), "{} is dead weight", core.id);
    }
}

#[test]
fn microcontrollers_have_ram_and_somewhere_for_code() {
    for board in all().iter().filter(|board| board.class == Class::Microcontroller) {
        assert!(board.largest_ram().is_some(), "{}", board.id);
        let flash =
            board.total_bytes(RegionKind::Flash) + board.total_bytes(RegionKind::ExternalFlash);
        assert!(flash > 0, "{}", board.id);
        assert!(board.target().pointer_bytes == 4, "{}", board.id);
    }
}

#[test]
fn every_core_that_is_built_bare_has_exactly_one_emulated_machine() {
    let bare =
        |core: &&Core| core.rust_target.as_ref().is_some_and(|target| target.contains("none"));
    for core in cores().iter().filter(bare) {
        let machines = all().iter().filter(|board| {
            board.emulated.as_ref().is_some_and(|e| e.stands_for.contains(&core.id))
        });
        assert_eq!(machines.count(), 1, "{}", core.id);
    }
}

#[test]
fn emulators_run_the_code_of_the_boards_they_stand_for() {
    for board in all() {
        let Some(machine) = board.emulator() else {
            let bare =
                board.core.rust_target.as_ref().is_some_and(|target| target.contains("none"));
            assert!(!bare, "{} is built for and has no emulator", board.id);
            continue;
        };
        assert!(machine.is_emulated());
        assert!(machine.core.runs_code_of(board.core), "{} on {}", board.id, machine.id);
        assert_eq!(machine.emulator().map(|m| &m.id), Some(&machine.id), "its own emulator");
    }
}

#[test]
fn emulated_machines_are_those_that_were_measured() {
    // Machine, timer's address, nanoseconds a tick: docs of the counting recipe.
    let expected = [
        ("microbit", "microbit", Some(0x4000_8000), 62.5),
        ("mps2-an385", "mps2-an385", Some(0x4000_0000), 40.0),
        ("mps2-an385-v6m", "mps2-an385", Some(0x4000_0000), 40.0),
        ("mps2-an386", "mps2-an386", Some(0x4000_0000), 40.0),
        ("mps2-an500", "mps2-an500", Some(0x4000_0000), 40.0),
        ("mps2-an505", "mps2-an505", Some(0x5000_0000), 50.0),
        ("mps3-an547", "mps3-an547", Some(0x5810_0000), 31.25),
        ("riscv32-virt", "virt", None, 1.0),
    ];
    let found: Vec<_> = all()
        .iter()
        .filter_map(|board| board.emulated.as_ref().map(|e| (board, e)))
        .map(|(b, e)| (b.id.as_str(), e.machine.as_str(), e.timer.address, e.timer.ns_per_tick))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_microbit_keeps_the_limits_of_the_board() {
    let board = find("microbit").unwrap();
    assert_eq!(board.largest_ram().unwrap().bytes, 16 * 1024);
    assert_eq!(board.largest_flash().unwrap().bytes, 256 * 1024);
    assert_eq!(board.largest_ram().unwrap().origin, Some(0x2000_0000));
}

#[test]
fn code_runs_upwards_only() {
    let core = |id| core(id).unwrap();
    assert!(core("cortex-m4f").runs_code_of(core("cortex-m3")));
    assert!(!core("cortex-m3").runs_code_of(core("cortex-m4f")));
    assert!(core("cortex-m7-dp").runs_code_of(core("cortex-m7-sp")));
    assert!(!core("cortex-m7-sp").runs_code_of(core("cortex-m7-dp")));
    assert!(core("cortex-m55").runs_code_of(core("cortex-m33f")));
    assert!(!core("cortex-m33f").runs_code_of(core("cortex-m55")));
    assert!(!core("cortex-m4").runs_code_of(core("cortex-m4f")));
    assert!(!core("rv32imc").runs_code_of(core("cortex-m0")));
}

#[test]
fn boards_become_json() {
    for board in all() {
        let value = serde_json::to_value(board).unwrap();
        assert_eq!(value["id"], board.id.as_str());
        assert_eq!(value["core"]["id"], board.core.id.as_str());
        assert_eq!(value["memory"].as_array().unwrap().len(), board.memory.len());
    }
}
