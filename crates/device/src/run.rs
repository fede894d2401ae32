//! One request, whole: build, run, read back, measure.

use crate::cache::Cache;
use crate::elf::{Elf, Sizes};
use crate::emulator::{
    Counting, Emulator, Ended, emulate, explain, run_within, stack_overflow, timed_out,
};
use crate::firmware::{Build, Firmware, build, build_host};
use crate::plugin::{Ask, COSTS, Counts, InferenceCount, OUT, hexadecimal, plugin};
use crate::protocol::{
    Cases, FLAG_TAPS, FLAG_TICKS, Outputs, Tap, parse_stats, parse_taps, parse_ticks,
};
use crate::source::ModelCrate;
use crate::spec::{CoreSpec, Machine, Profile};
use kinglet_diag::{Diagnostic, Failure, Place, Result, code};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What to count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// Nothing; the fastest.
    Nothing,
    /// Instructions of each inference.
    #[default]
    Instructions,
    /// Instructions of each inference, by address too.
    Profile,
    /// Instructions of each inference by the machine's timer, in whole ticks.
    Timer,
}

/// How the instructions were counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Basis {
    /// They were not.
    None,
    /// One by one.
    Exact,
    /// By a timer of the machine under `-icount shift=0`.
    Timer {
        /// Instructions a tick: no count is better than that.
        resolution: f64,
    },
}

/// A run on an emulated board.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The printed crate.
    pub model: &'a ModelCrate,
    /// The core that it is compiled for.
    pub core: &'a CoreSpec,
    /// The machine that it runs on.
    pub machine: &'a Machine,
    /// The compiler's settings.
    pub profile: Profile,
    /// Whether every tensor is reported; the crate must have the feature `taps`.
    pub taps: bool,
    /// Inputs.
    pub cases: &'a Cases,
    /// What to count; nothing is counted with taps.
    pub count: Count,
    /// Functions at whose first instruction the running sum is taken, by exact readable name, and addresses
    /// of other instructions, `0x1234`.
    pub marks: &'a [String],
    /// Costs of instructions by address ([`crate::timing::costs`]); their sum is taken wherever the running sum is.
    pub costs: Option<&'a BTreeMap<u64, u64>>,
    /// The longest that the emulator may run.
    pub timeout: Duration,
}

/// What a run brought back.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Outputs of all inferences.
    pub outputs: Outputs,
    /// Every tensor of every inference, when asked for.
    pub taps: Vec<Vec<Tap>>,
    /// Instructions of each inference; empty if not counted.
    pub counts: Vec<InferenceCount>,
    /// How they were counted.
    pub basis: Basis,
    /// Most stack in use at any time, bytes, with `main` and what stands around the model.
    pub stack_bytes: u64,
    /// Bytes there were for the stack.
    pub stack_available: u64,
    /// Sizes of the linked program.
    pub sizes: Sizes,
    /// The linked program.
    pub firmware: Firmware,
    /// Seconds in the emulator.
    pub seconds: f64,
    /// Warnings.
    pub notes: Vec<Diagnostic>,
}

/// Builds the harness around the crate, runs the cases in the emulator, and measures.
///
/// # Errors
/// Those of [`build`], and K0707 (the program cannot be examined), K0709 (no emulator), K0710 (out of
/// time), K0711 (a fault), K0712 (it ended otherwise), K0713 (the stack overflowed), K0715 (the emulator
/// cannot be started), K0716 (inputs of the wrong length).
pub fn run(cache: &Cache, request: &Request<'_>) -> Result<Outcome> {
    request.cases.check()?;
    let emulator = Emulator::find(&request.machine.emulator)?;
    let firmware = build(
        cache,
        Build {
            model: request.model,
            core: request.core,
            memory: &request.machine.memory,
            timer: &request.machine.timer,
            profile: request.profile,
            taps: request.taps,
        },
    )?;
    let elf = Elf::read(&firmware.path)?;
    let count = if request.taps { Count::Nothing } else { request.count };
    let mut notes = Vec::new();
    let folder = tempfile::tempdir().map_err(no_folder)?;
    let (ended, basis) = emulate_counting(
        cache,
        request,
        &emulator,
        &elf,
        &firmware,
        folder.path(),
        count,
        &mut notes,
    )?;
    if let Some(failure) = explain(&ended, folder.path(), &elf) {
        return Err(failure);
    }
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap_or_default();
    let (stack_bytes, stack_available) =
        parse_stats(&read("stats.bin")).ok_or_else(|| incomplete("stats.bin", &ended))?;
    if stack_bytes >= stack_available {
        return Err(stack_overflow(stack_available.into()));
    }
    let outputs = Outputs::parse(read("out.bin"), request.cases)
        .ok_or_else(|| incomplete("out.bin", &ended))?;
    let taps = match request.taps {
        true => parse_taps(&read("taps.bin")).ok_or_else(|| incomplete("taps.bin", &ended))?,
        false => Vec::new(),
    };
    let counts = match basis {
        Basis::None => Vec::new(),
        Basis::Exact => Counts::parse(&String::from_utf8_lossy(&read(OUT))).inferences,
        Basis::Timer { resolution } => from_ticks(&read("ticks.bin"), resolution),
    };
    Ok(Outcome {
        outputs,
        taps,
        counts,
        basis,
        stack_bytes: stack_bytes.into(),
        stack_available: stack_available.into(),
        sizes: elf.sizes(&request.machine.memory),
        firmware,
        seconds: ended.took.as_secs_f64(),
        notes,
    })
}

/// Runs once with the plug-in; where that cannot be, once with the timer; where nothing is to be counted
/// or there is no timer, plainly.
#[allow(clippy::too_many_arguments, reason = "one caller; a struct would only repeat its locals")]
fn emulate_counting(
    cache: &Cache,
    request: &Request<'_>,
    emulator: &Emulator,
    elf: &Elf,
    firmware: &Firmware,
    folder: &Path,
    count: Count,
    notes: &mut Vec<Diagnostic>,
) -> Result<(Ended, Basis)> {
    let flags = if request.taps { FLAG_TAPS } else { 0 };
    let go = |counting: &Counting, flags: u32| -> Result<Ended> {
        std::fs::write(folder.join("in.bin"), request.cases.to_file(flags)).map_err(no_folder)?;
        if let Some(costs) = request.costs {
            let lines = costs.iter().map(|(address, cost)| format!("{address:#x} {cost}\n"));
            std::fs::write(folder.join(COSTS), lines.collect::<String>()).map_err(no_folder)?;
        }
        emulate(emulator, request.machine, &firmware.path, folder, counting, request.timeout)
    };
    if count == Count::Nothing {
        return Ok((go(&Counting::Off, flags)?, Basis::None));
    }
    match plugin(cache, emulator) {
        _ if count == Count::Timer => {}
        Ok(plugin) => {
            let arguments = ask(elf, request, count)?.arguments();
            let ended = go(&Counting::PlugIn { plugin, arguments }, flags)?;
            // The plug-in makes its file before the first instruction; without it the emulator refused it.
            if folder.join(OUT).exists() {
                return Ok((ended, Basis::Exact));
            }
            notes.push(inexact(
                ended.said.lines().next().unwrap_or("the emulator does not load plug-ins"),
            ));
        }
        Err(why) => notes.push(inexact(&why)),
    }
    match request.machine.timer.instructions_per_tick() {
        Some(resolution) => {
            Ok((go(&Counting::Timer, flags | FLAG_TICKS)?, Basis::Timer { resolution }))
        }
        None => Ok((go(&Counting::Off, flags)?, Basis::None)),
    }
}

fn ask(elf: &Elf, request: &Request<'_>, count: Count) -> Result<Ask> {
    let address = |name: &str| {
        elf.address_of(name).ok_or_else(|| -> Failure {
            Diagnostic::error(
                code::ELF_UNUSABLE,
                format!("the program has no symbol `{name}` to count at"),
            )
            .help("it was inlined or never linked; name another")
            .into()
        })
    };
    Ok(Ask {
        begin: Some(address("count_begin")?),
        end: Some(address("count_end")?),
        marks: request
            .marks
            .iter()
            .map(|mark| hexadecimal(mark).map_or_else(|| address(mark), Ok))
            .collect::<Result<_>>()?,
        profile: count == Count::Profile,
        stack: None,
        flash: (count == Count::Profile)
            .then(|| request.machine.memory.flash.clone())
            .map(|flash| (flash.origin, flash.origin + flash.len)),
        costs: request.costs.is_some(),
    })
}

fn from_ticks(bytes: &[u8], resolution: f64) -> Vec<InferenceCount> {
    let counts =
        parse_ticks(bytes).into_iter().map(|ticks| (f64::from(ticks) * resolution).round());
    counts
        .map(|instructions| InferenceCount {
            instructions: instructions as u64,
            ..Default::default()
        })
        .collect()
}

pub(crate) fn inexact(why: &str) -> Diagnostic {
    Diagnostic::warning(code::COUNT_INEXACT, format!("instructions are not counted one by one: {why}"))
        .help("counts come from the machine's timer instead, in whole ticks; QEMU with plug-ins counts exactly")
}

pub(crate) fn no_folder(error: std::io::Error) -> Failure {
    Diagnostic::error(
        code::CACHE_UNUSABLE,
        format!("no temporary folder can be made for the run: {error}"),
    )
    .help("make room in the folder for temporary files, or set TMPDIR")
    .into()
}

fn incomplete(file: &str, ended: &Ended) -> Failure {
    Diagnostic::error(code::FIRMWARE_EXIT, format!("the run ended without a complete {file}"))
        .at(Place::Other(ended.said.lines().take(12).collect::<Vec<_>>().join("\n")))
        .help("the outputs' sizes must be those of the crate; a full disk is the other usual cause")
        .into()
}

/// A run of the printed crate on this machine.
#[derive(Clone, Debug)]
pub struct HostRequest<'a> {
    /// The printed crate.
    pub model: &'a ModelCrate,
    /// The compiler's settings.
    pub profile: Profile,
    /// Whether every tensor is reported.
    pub taps: bool,
    /// Inputs.
    pub cases: &'a Cases,
    /// The longest that it may run.
    pub timeout: Duration,
}

/// What a run on this machine brought back.
#[derive(Clone, Debug)]
pub struct HostOutcome {
    /// Outputs of all inferences.
    pub outputs: Outputs,
    /// Every tensor of every inference, when asked for.
    pub taps: Vec<Vec<Tap>>,
    /// The program.
    pub firmware: Firmware,
    /// Seconds of the run.
    pub seconds: f64,
}

/// Builds the printed crate for this machine and runs the cases.
///
/// # Errors
/// Those of [`build_host`], K0710 (out of time), K0712 (it ended otherwise), K0716 (inputs of the wrong
/// length).
pub fn run_host(cache: &Cache, request: &HostRequest<'_>) -> Result<HostOutcome> {
    request.cases.check()?;
    let firmware = build_host(cache, request.model, request.profile, request.taps)?;
    let folder = tempfile::tempdir().map_err(no_folder)?;
    let flags = if request.taps { FLAG_TAPS } else { 0 };
    std::fs::write(folder.path().join("in.bin"), request.cases.to_file(flags))
        .map_err(no_folder)?;
    let mut command = Command::new(&firmware.path);
    command.arg(".");
    let start = Instant::now();
    let ended = run_within(command, folder.path(), request.timeout).map_err(|error| {
        Diagnostic::error(code::FIRMWARE_EXIT, format!("the built program cannot be started: {error}"))
            .at(Place::File(firmware.path.display().to_string()))
            .help("the cache must not lie on a file system that forbids running programs; see KINGLET_CACHE")
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let Some(status) = ended.status else {
        return Err(timed_out("the printed crate", request.timeout));
    };
    if !status.success() {
        return Err(host_failed(&status.to_string(), &ended));
    }
    let read = |name: &str| std::fs::read(Path::new(folder.path()).join(name)).unwrap_or_default();
    let outputs = Outputs::parse(read("out.bin"), request.cases)
        .ok_or_else(|| incomplete("out.bin", &ended))?;
    let taps = match request.taps {
        true => parse_taps(&read("taps.bin")).ok_or_else(|| incomplete("taps.bin", &ended))?,
        false => Vec::new(),
    };
    Ok(HostOutcome { outputs, taps, firmware, seconds })
}

fn host_failed(status: &str, ended: &Ended) -> Failure {
    Diagnostic::error(
        code::FIRMWARE_EXIT,
        format!("the printed crate ended with {status} on this machine"),
    )
    .at(Place::Other(ended.said.lines().take(12).collect::<Vec<_>>().join("\n")))
    .help("its own words follow")
    .into()
}
