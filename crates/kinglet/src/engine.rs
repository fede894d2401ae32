//! Engines by name, and running cases on them.

use crate::batch::{Batch, BatchOutput, Measured};
use crate::model::Model;
use crate::printed;
use kinglet_boards::Board;
use kinglet_device::{
    Basis, Cache, Cases, Count, Emulation, HostRequest, Needs, Profile, Request, Tap,
};
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_engine::{Interpreter, Machine};
use kinglet_graph::{Port, TensorId};
use kinglet_program::{Options, Program};
use kinglet_target::Target;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// An engine as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineName {
    /// `reference`: interprets the graph by the plainest code.
    Reference,
    /// `native`: the program for this machine.
    Native,
    /// `native:BOARD`: the board's own program, on this machine.
    NativeBoard(String),
    /// `crate:BOARD`: the printed crate for the board, built for this machine.
    Crate(String),
    /// `qemu:BOARD`: the printed crate on the emulated board.
    Qemu(String),
}

impl FromStr for EngineName {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        match text.split_once(':') {
            None if text == "reference" => Ok(EngineName::Reference),
            None if text == "native" => Ok(EngineName::Native),
            Some(("native", board)) if !board.is_empty() => Ok(Self::NativeBoard(board.to_owned())),
            Some(("crate", board)) if !board.is_empty() => Ok(Self::Crate(board.to_owned())),
            Some(("qemu", board)) if !board.is_empty() => Ok(Self::Qemu(board.to_owned())),
            _ => Err(Diagnostic::error(code::ENGINE_UNKNOWN, format!("there is no engine {text}"))
                .help("engines: reference, native, native:BOARD, crate:BOARD, qemu:BOARD; `kinglet boards` lists the boards")),
        }
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineName::Reference => write!(f, "reference"),
            EngineName::Native => write!(f, "native"),
            EngineName::NativeBoard(board) => write!(f, "native:{board}"),
            EngineName::Crate(board) => write!(f, "crate:{board}"),
            EngineName::Qemu(board) => write!(f, "qemu:{board}"),
        }
    }
}

/// What an engine that runs step by step on this machine can do.
trait Stepper {
    fn reset(&mut self);
    fn input_mut(&mut self, index: usize) -> &mut [u8];
    fn run(&mut self, tap: Option<kinglet_engine::Tap<'_>>) -> Result<()>;
    fn output(&self, index: usize) -> &[u8];
}

macro_rules! steppers {
    ($($Engine:ty),*) => { $(
        impl Stepper for $Engine {
            fn reset(&mut self) {
                self.reset();
            }
            fn input_mut(&mut self, index: usize) -> &mut [u8] {
                self.input_mut(index)
            }
            fn run(&mut self, tap: Option<kinglet_engine::Tap<'_>>) -> Result<()> {
                self.run(tap)
            }
            fn output(&self, index: usize) -> &[u8] {
                self.output(index)
            }
        }
    )* };
}
steppers!(Interpreter, Machine);

/// Runs a batch of cases on an engine. With `tensors`, every tensor that a node writes comes back too.
///
/// # Errors
/// What the engine cannot do, what cannot be built, and what the emulator reports.
pub fn run(
    model: &Model,
    engine: &EngineName,
    batch: &Batch,
    tensors: bool,
) -> Result<BatchOutput> {
    match engine {
        EngineName::Reference => {
            let mut interpreter = Interpreter::new(Arc::clone(&model.graph));
            step_through(model, &mut interpreter, batch, tensors)
        }
        EngineName::Native => on_machine(model, &Target::host(), batch, tensors),
        EngineName::NativeBoard(board) => {
            let board = kinglet_boards::open(board)?;
            on_machine(model, &board.target(), batch, tensors)
        }
        EngineName::Crate(board) => {
            let board = kinglet_boards::open(board)?;
            let printed = printed::crate_for(model, &board, tensors)?;
            let outcome = kinglet_device::run_host(
                &Cache::open()?,
                &HostRequest {
                    model: &printed,
                    profile: Profile::default(),
                    taps: tensors,
                    cases: &cases(model, batch)?,
                    timeout: TIMEOUT,
                },
            )?;
            Ok(collect(model, batch, outcome.outputs.bytes(), outcome.taps))
        }
        EngineName::Qemu(board) => {
            let board = kinglet_boards::open(board)?;
            on_board(model, &board, batch, &BoardRun { tensors, ..BoardRun::default() })
        }
    }
}

/// The longest that a built program may run.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(600);

/// How a run on an emulated board is built and what it counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoardRun {
    /// Whether every tensor is reported.
    pub tensors: bool,
    /// The compiler's settings.
    pub profile: Profile,
    /// How the program is lowered.
    pub options: Options,
    /// What is counted.
    pub count: Count,
}

/// Builds the printed crate for a board and runs a batch on the emulated machine that stands for it.
///
/// # Errors
/// What cannot be lowered, built or emulated.
pub fn on_board(
    model: &Model,
    board: &Board,
    batch: &Batch,
    run: &BoardRun,
) -> Result<BatchOutput> {
    let program = program(model, &board.target(), &run.options, run.tensors)?;
    let emulation = Emulation::of(
        board,
        Needs {
            arena_bytes: (program.arena_bytes + program.state_bytes) as u64,
            weights_bytes: kinglet_codegen::Weights::of(&program).bytes.len() as u64,
        },
    )?;
    let printed = printed::source(model, &program, run.tensors);
    let outcome = kinglet_device::run(
        &Cache::open()?,
        &Request {
            model: &printed,
            core: &emulation.core,
            machine: &emulation.machine,
            profile: run.profile,
            taps: run.tensors,
            cases: &cases(model, batch)?,
            count: run.count,
            marks: &[],
            costs: None,
            timeout: TIMEOUT,
        },
    )?;
    let mut output = collect(model, batch, outcome.outputs.bytes(), outcome.taps);
    output.measured = Some(Measured {
        instructions: outcome.counts.iter().map(|count| count.instructions).collect(),
        exact: outcome.basis == Basis::Exact,
        stack_bytes: outcome.stack_bytes,
        sizes: outcome.sizes,
        seconds: outcome.seconds,
        firmware: outcome.firmware.path,
    });
    Ok(output)
}

/// The batch as a harness reads it.
pub(crate) fn cases(model: &Model, batch: &Batch) -> Result<Cases> {
    let count = |n: usize| u32::try_from(n).map_err(|_| kinglet_diag::bug("more cases than 2^32"));
    let bytes = |ports: &[Port]| -> Vec<usize> {
        ports.iter().map(|port| model.graph.tensor(port.tensor).ty.bytes()).collect()
    };
    Ok(Cases {
        cases: count(batch.cases())?,
        steps: count(batch.steps())?,
        input_bytes: bytes(&model.graph.inputs),
        output_bytes: bytes(&model.graph.outputs),
        inputs: printed::harness_inputs(batch, model.graph.inputs.len()),
    })
}

/// What a harness wrote, by output and by tensor.
fn collect(model: &Model, batch: &Batch, bytes: &[u8], taps: Vec<Vec<Tap>>) -> BatchOutput {
    let mut output = BatchOutput {
        outputs: vec![Vec::new(); model.graph.outputs.len()],
        ..BatchOutput::default()
    };
    let mut rest = bytes;
    for _ in 0..batch.cases() * batch.steps() {
        for (port, all) in model.graph.outputs.iter().zip(&mut output.outputs) {
            let bytes = model.graph.tensor(port.tensor).ty.bytes();
            let (one, tail) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            all.extend_from_slice(one);
            rest = tail;
        }
    }
    for tap in taps.into_iter().flatten() {
        let tensor = TensorId::new(tap.tensor as usize);
        output.tensors.entry(tensor).or_default().extend(tap.bytes);
    }
    output
}

/// The program to run: with every tensor of the file where they are asked for.
pub(crate) fn program(
    model: &Model,
    target: &Target,
    options: &Options,
    tensors: bool,
) -> Result<Program> {
    if tensors {
        model.program_with_every_tensor(target, options)
    } else {
        model.program(target, options)
    }
}

fn on_machine(model: &Model, target: &Target, batch: &Batch, tensors: bool) -> Result<BatchOutput> {
    let program = program(model, target, &Options::default(), tensors)?;
    let mut machine = Machine::new(Arc::new(program))?;
    step_through(model, &mut machine, batch, tensors)
}

fn step_through(
    model: &Model,
    engine: &mut dyn Stepper,
    batch: &Batch,
    tensors: bool,
) -> Result<BatchOutput> {
    let mut output = BatchOutput {
        outputs: vec![Vec::new(); model.graph.outputs.len()],
        ..BatchOutput::default()
    };
    for case in 0..batch.cases() {
        engine.reset();
        for step in 0..batch.steps() {
            for index in 0..model.graph.inputs.len() {
                let bytes = batch.input(index, case, step);
                let input = engine.input_mut(index);
                for (to, from) in input.iter_mut().zip(bytes) {
                    *to = *from;
                }
            }
            if tensors {
                let mut tap = |tensor: TensorId, bytes: &[u8]| {
                    output.tensors.entry(tensor).or_default().extend_from_slice(bytes);
                };
                engine.run(Some(&mut tap))?;
            } else {
                engine.run(None)?;
            }
            for (index, bytes) in output.outputs.iter_mut().enumerate() {
                bytes.extend_from_slice(engine.output(index));
            }
        }
    }
    Ok(output)
}
