//! Runs a program in an emulated machine, within a time, and explains how it ended.

use crate::elf::Elf;
use crate::protocol::Fault;
use crate::spec::Machine;
use crate::toolchain::{ask, in_path};
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The emulator of a machine, found on `PATH`.
#[derive(Clone, Debug)]
pub struct Emulator {
    /// The program.
    pub path: PathBuf,
    /// Its version, `7.2.22`.
    pub version: String,
}

impl Emulator {
    /// Looks for the program on `PATH`.
    ///
    /// # Errors
    /// K0709 if it is not there.
    pub fn find(program: &str) -> Result<Self> {
        let found = in_path(program).into_iter().find_map(|path| {
            let text = ask(&path, ["--version"])?;
            let version = text.split_once("version ")?.1.split([' ', '\n', '(']).next()?.to_owned();
            Some(Self { path, version })
        });
        found.ok_or_else(|| {
            Diagnostic::error(
                code::EMULATOR_MISSING,
                format!("the emulator {program} was not found"),
            )
            .help(remedy(program))
            .into()
        })
    }

    /// The first part of the version; 0 where it is unreadable.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|part| part.parse().ok()).unwrap_or(0)
    }
}

/// The command that installs an emulator.
pub(crate) fn remedy(program: &str) -> String {
    let package = if program.contains("riscv") { "qemu-system-misc" } else { "qemu-system-arm" };
    format!(
        "install QEMU and put it on PATH (Debian: apt-get install {package}; macOS: brew install qemu)"
    )
}

/// Ends the child when it goes out of scope, whatever happened.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a child ended, or that its time ran out, and what it said.
pub(crate) struct Ended {
    pub status: Option<ExitStatus>,
    pub said: String,
    pub took: Duration,
}

/// Runs a command in `folder` with no input, for at most `limit`.
pub(crate) fn run_within(
    mut command: Command,
    folder: &Path,
    limit: Duration,
) -> std::io::Result<Ended> {
    let start = Instant::now();
    let log = folder.join("log.txt");
    let file = File::create(&log)?;
    command.current_dir(folder).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let mut guard = Guard(command.spawn()?);
    let mut pause = Duration::from_micros(500);
    let status = loop {
        if let Some(status) = guard.0.try_wait()? {
            break Some(status);
        }
        if start.elapsed() >= limit {
            break None;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    drop(guard);
    let said = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
    Ok(Ended { status, said, took: start.elapsed() })
}

/// How to run a program.
pub(crate) enum Counting {
    /// Nothing is counted.
    Off,
    /// By the plug-in, with its arguments.
    PlugIn { plugin: PathBuf, arguments: String },
    /// By the timer: one virtual nanosecond an instruction.
    Timer,
}

/// Runs a program in the machine; the folder is its working directory.
///
/// # Errors
/// K0715 if the emulator cannot be started, K0710 if the time ran out.
pub(crate) fn emulate(
    emulator: &Emulator,
    machine: &Machine,
    elf: &Path,
    folder: &Path,
    counting: &Counting,
    limit: Duration,
) -> Result<Ended> {
    let mut command = Command::new(&emulator.path);
    command.args(["-machine", &machine.machine]).args(&machine.arguments);
    command.args(["-nographic", "-monitor", "none", "-serial", "none"]);
    command.args(["-semihosting-config", "enable=on,target=native"]);
    match counting {
        Counting::Off => {}
        Counting::PlugIn { plugin, arguments } => {
            let path = plugin.display().to_string().replace(',', ",,");
            command.arg("-plugin").arg(format!("file={path},{arguments}"));
        }
        Counting::Timer => {
            command.args(["-icount", "shift=0"]);
        }
    }
    command.arg("-kernel").arg(elf);
    let ended = run_within(command, folder, limit).map_err(|error| {
        Diagnostic::error(code::EMULATOR_FAILED, format!("the emulator cannot be started: {error}"))
            .at(Place::File(emulator.path.display().to_string()))
            .help("`kinglet doctor` checks the emulators")
    })?;
    if ended.status.is_none() {
        return Err(timed_out("the emulated firmware", limit));
    }
    Ok(ended)
}

pub(crate) fn timed_out(what: &str, limit: Duration) -> Failure {
    Diagnostic::error(
        code::EMULATOR_TIMEOUT,
        format!("{what} did not end within {} s and was stopped", limit.as_secs_f64()),
    )
    .help("give it more time with `--timeout`, or fewer cases")
    .into()
}

/// The failure behind a run that did not end well.
pub(crate) fn explain(ended: &Ended, folder: &Path, elf: &Elf) -> Option<Failure> {
    let status = ended.status?;
    if status.success() {
        return None;
    }
    if let Some(fault) =
        std::fs::read(folder.join("fault.bin")).ok().and_then(|bytes| Fault::parse(&bytes))
    {
        if let Some(failure) = overflowed(elf, fault.sp.into()) {
            return Some(failure);
        }
        let mut text = format!(
            "the firmware faulted in {} during inference {}",
            elf.place(fault.pc.into()),
            fault.inference
        );
        if let Some(tensor) = fault.tensor {
            text = format!("{text}, after tensor {tensor} was computed");
        }
        let caller = elf.place(fault.lr.into());
        return Some(faulted(
            text,
            format!("pc {:#010x}, called from {caller}, cause {:#x}", fault.pc, fault.cause),
        ));
    }
    if let Some((sp, pc)) = locked_up(&ended.said) {
        if let Some(failure) = overflowed(elf, sp) {
            return Some(failure);
        }
        let text = format!("the firmware's processor locked up in {}", elf.place(pc));
        return Some(faulted(text, first_lines(&ended.said)));
    }
    let what = match status.code() {
        Some(64) => "the firmware could not read its input".to_owned(),
        Some(65) => "the firmware could not write its output".to_owned(),
        Some(101) => "the firmware panicked".to_owned(),
        Some(other) => format!("the emulator ended with status {other}"),
        None => format!("the emulator was ended from outside ({status})"),
    };
    let failure =
        Diagnostic::error(code::FIRMWARE_EXIT, what).at(Place::Other(first_lines(&ended.said)));
    Some(failure.help("the emulator's own words follow; `kinglet doctor` checks it").into())
}

fn faulted(text: String, detail: String) -> Failure {
    Diagnostic::error(code::FIRMWARE_FAULT, text)
        .at(Place::Other(detail))
        .help("`--tensors` shows how far the model got; printed code never faults by itself, so check the board's memory map first, then report it")
        .into()
}

fn first_lines(text: &str) -> String {
    text.lines().take(12).collect::<Vec<_>>().join("\n")
}

/// The failure that says so if the stack pointer stands at or below the end of the stack.
fn overflowed(elf: &Elf, sp: u64) -> Option<Failure> {
    let end = ["_stack_end", "__euninit"].into_iter().find_map(|name| elf.address_of(name))?;
    let start = elf.address_of("_stack_start")?;
    (sp < end + 16).then(|| stack_overflow(start.saturating_sub(end)))
}

pub(crate) fn stack_overflow(available: u64) -> Failure {
    Diagnostic::error(
        code::STACK_OVERFLOW,
        format!("the stack overflowed: it used all of the {available} bytes that the statics leave"),
    )
    .help("the outputs cannot be trusted; a board with more RAM or a smaller arena gives the stack room")
    .into()
}

/// Stack pointer and program counter out of QEMU's words when a Cortex-M locks up.
fn locked_up(said: &str) -> Option<(u64, u64)> {
    let (_, registers) = said.split_once("Lockup")?;
    let register = |name: &str| {
        let (_, rest) = registers.split_once(name)?;
        let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
        u64::from_str_radix(&digits, 16).ok()
    };
    Some((register("R13=")?, register("R15=")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_emulator_says_how_to_get_it() {
        let failure = Emulator::find("qemu-system-no-such").unwrap_err();
        assert_eq!(failure.first().code, code::EMULATOR_MISSING);
        assert!(failure.first().help.as_ref().unwrap().contains("apt-get install"));
    }

    #[test]
    fn a_lockup_is_read_from_the_emulators_words() {
        let said = "qemu: fatal: Lockup: can't escalate 3 to HardFault (current priority -1)\n\nR00=00000000\nR13=20000000 R14=fffffff9 R15=00000128\n";
        assert_eq!(locked_up(said), Some((0x2000_0000, 0x128)));
        assert_eq!(locked_up("R15=00000128"), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_child_is_stopped_when_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut sleep = Command::new("sleep");
        sleep.arg("30");
        let start = Instant::now();
        let ended = run_within(sleep, folder.path(), Duration::from_millis(50)).unwrap();
        assert!(ended.status.is_none());
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn an_emulator_that_cannot_be_started_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Emulator { path: "/no/such/emulator".into(), version: "0".into() };
        let machine = crate::Emulation::of(
            kinglet_boards::find("microbit").unwrap(),
            crate::Needs::default(),
        );
        let machine = machine.unwrap().machine;
        let result = emulate(
            &nothing,
            &machine,
            Path::new("x.elf"),
            folder.path(),
            &Counting::Off,
            Duration::from_secs(1),
        );
        assert_eq!(result.err().unwrap().first().code, code::EMULATOR_FAILED);
    }
}
