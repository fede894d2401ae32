//! `kinglet doctor`

use super::{Done, Show};
use kinglet_device::State;
use kinglet_diag::Result;
use serde_json::json;
use std::collections::BTreeSet;

/// Say what this machine can build and run, and how to mend what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status 3 when something is missing.

Examples:
  kinglet doctor
  kinglet doctor --board nucleo-f446re")]
pub struct Args {
    /// Only what these boards need
    #[arg(short, long)]
    board: Vec<String>,
}

pub(super) fn run(args: &Args, show: &Show) -> Result<Done> {
    let mut targets = BTreeSet::new();
    let mut emulators = BTreeSet::new();
    let mut add = |board: &kinglet_boards::Board| {
        let core = kinglet_device::core(board);
        targets.extend(core.map(|core| core.target));
        let machine = board.emulator().and_then(|board| board.emulated.as_ref());
        emulators.extend(machine.map(|machine| machine.qemu.clone()));
    };
    if args.board.is_empty() {
        kinglet_boards::all().iter().filter(|board| board.is_emulated()).for_each(&mut add);
    }
    for board in &args.board {
        add(kinglet_boards::open(board)?.as_ref());
    }
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let emulators: Vec<&str> = emulators.iter().map(String::as_str).collect();
    let checks = kinglet_device::doctor(&targets, &emulators);
    let is_missing = checks.iter().any(|check| check.state == State::Missing);
    let mut text = String::new();
    for check in &checks {
        let mark = match check.state {
            State::Ok => "ok      ",
            State::Degraded => "degraded",
            State::Missing => "MISSING ",
        };
        text.push_str(&format!("{mark} {}: {}\n", check.name, check.detail));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("         {remedy}\n"));
        }
    }
    show.text(&text);
    show.object("kinglet.doctor/1", json!({ "ok": !is_missing, "checks": checks }));
    // The report says what failed; an error beside it would only repeat it.
    Ok(Done { exit: is_missing.then_some(3), ..Done::default() })
}
