//! Engines by name, and running cases on them.

use crate::batch::{Batch, BatchOutput};
use crate::model::Model;
use kinglet_diag::{Diagnostic, Result, code};
use kinglet_engine::{Interpreter, Machine};
use kinglet_graph::TensorId;
use kinglet_program::Options;
use kinglet_target::Target;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

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
        EngineName::Crate(_) | EngineName::Qemu(_) => {
            Err(kinglet_diag::bug("this engine is not wired up"))
        }
    }
}

fn on_machine(model: &Model, target: &Target, batch: &Batch, tensors: bool) -> Result<BatchOutput> {
    let program = model.program(target, &Options::default())?;
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
        tensors: BTreeMap::new(),
        measured: None,
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
