//! Runs a program.

use crate::Tap;
use crate::memory::{Memory, Piece, cut};
use kinglet_diag::{Failure, bug};
use kinglet_kernels::declare::Role;
use kinglet_kernels::reflect::{Kernel, Operand};
use kinglet_program::{BufferId, Operand as ProgramOperand, Overlapping, Program};
use std::sync::Arc;

/// A program with its memory. Nothing is allocated during a run but the list of operands.
#[derive(Debug)]
pub struct Machine {
    program: Arc<Program>,
    memory: Memory,
    constants: Arc<Vec<Memory>>,
    calls: Arc<Vec<Prepared>>,
}

/// A call with its pieces sorted for cutting.
#[derive(Debug)]
struct Prepared {
    kernel: Arc<dyn Kernel>,
    pieces: Vec<Piece>,
    constants: Vec<(usize, usize)>,
    operands: usize,
    /// Where input and output share memory; `pieces` has neither then.
    overlapping: Option<Overlapping>,
}

impl Machine {
    /// Prepares a program: constants are copied to aligned memory, state has its start value.
    ///
    /// # Errors
    /// A bug, when the program's calls do not match their kernels' declarations.
    pub fn new(program: Arc<Program>) -> Result<Self, Failure> {
        let constants =
            program.constants.iter().map(|c| Memory::from_bytes(c.data.bytes())).collect();
        let calls = prepare(&program)?;
        let memory = Memory::new(program.state_bytes + program.arena_bytes);
        let mut machine =
            Self { program, memory, constants: Arc::new(constants), calls: Arc::new(calls) };
        machine.reset();
        Ok(machine)
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Gives every state variable its start value.
    pub fn reset(&mut self) {
        let program = Arc::clone(&self.program);
        for state in &program.states {
            let bytes = state.start.bytes();
            if let Some(memory) = self.buffer_mut(state.buffer).get_mut(..bytes.len()) {
                memory.copy_from_slice(bytes);
            }
        }
    }

    /// The bytes of the input at this position; empty when there is none.
    pub fn input_mut(&mut self, index: usize) -> &mut [u8] {
        match self.program.inputs.get(index).map(|port| port.buffer) {
            Some(buffer) => self.buffer_mut(buffer),
            None => &mut [],
        }
    }

    /// The bytes of the output at this position, valid until the next run or input access; empty when
    /// there is none.
    pub fn output(&self, index: usize) -> &[u8] {
        match self.program.outputs.get(index).map(|port| port.buffer) {
            Some(buffer) => self.buffer(buffer),
            None => &[],
        }
    }

    /// Runs once. `tap`, if given, sees every tensor that a node writes, when it has its value.
    ///
    /// # Errors
    /// A bug, when the plan put two operands of a call over each other.
    pub fn run(&mut self, mut tap: Option<Tap<'_>>) -> Result<(), Failure> {
        let program = Arc::clone(&self.program);
        let calls = Arc::clone(&self.calls);
        let constants = Arc::clone(&self.constants);
        if let Some(tap) = tap.as_mut() {
            for report in &program.prologue {
                tap(report.tensor, self.buffer(report.buffer));
            }
        }
        for (step, call) in program.steps.iter().zip(calls.iter()) {
            let mut operands: Vec<Option<Operand<'_>>> = Vec::new();
            operands.resize_with(call.operands, || None);
            for &(operand, constant) in &call.constants {
                if let (Some(slot), Some(data)) =
                    (operands.get_mut(operand), constants.get(constant))
                {
                    *slot = Some(Operand::Read(data.bytes()));
                }
            }
            let missing = || bug(format!("an operand is missing at step {}", step.label));
            if let Some(Overlapping { memory, images, .. }) = call.overlapping.clone() {
                // Input and output are no operands then, and all others are constants.
                let constants: Vec<_> = operands.into_iter().flatten().collect();
                let memory = self.memory.bytes_mut().get_mut(memory);
                call.kernel.call_overlapping(memory.ok_or_else(missing)?, images, &constants);
            } else {
                cut(self.memory.bytes_mut(), &call.pieces, &mut operands)
                    .ok_or_else(|| bug(format!("operands overlap at step {}", step.label)))?;
                let operands = operands.into_iter().collect::<Option<Vec<_>>>();
                call.kernel.call(&mut operands.ok_or_else(missing)?);
            }
            if let Some(tap) = tap.as_mut() {
                for report in &step.reports {
                    tap(report.tensor, self.buffer(report.buffer));
                }
            }
        }
        Ok(())
    }

    fn buffer(&self, id: BufferId) -> &[u8] {
        let buffer = self.program.buffer(id);
        let start = self.program.start(buffer);
        self.memory.bytes().get(start..start + buffer.bytes).unwrap_or(&[])
    }

    fn buffer_mut(&mut self, id: BufferId) -> &mut [u8] {
        let buffer = self.program.buffer(id);
        let start = self.program.start(buffer);
        let bytes = buffer.bytes;
        self.memory.bytes_mut().get_mut(start..start + bytes).unwrap_or(&mut [])
    }
}

fn prepare(program: &Program) -> Result<Vec<Prepared>, Failure> {
    let mut calls = Vec::with_capacity(program.steps.len());
    for step in &program.steps {
        let declaration = step.call.kernel.declaration();
        if step.call.operands.len() != declaration.operands.len() {
            return Err(bug(format!("{} has the wrong number of operands", step.label)));
        }
        let overlapping = program.overlapping(&step.call);
        let mut pieces = Vec::new();
        let mut constants = Vec::new();
        for (index, (operand, declared)) in
            step.call.operands.iter().zip(declaration.operands).enumerate()
        {
            let write = matches!(declared.role, Role::Out | Role::InOut | Role::Scratch);
            match *operand {
                ProgramOperand::Constant(id) if !write => constants.push((index, id.0)),
                ProgramOperand::Constant(_) => {
                    return Err(bug(format!("{} writes a constant", step.label)));
                }
                ProgramOperand::Buffer(_)
                    if overlapping.as_ref().is_some_and(|both| both.operands.contains(&index)) => {}
                ProgramOperand::Buffer(id) => {
                    let buffer = program.buffer(id);
                    let offset = program.start(buffer);
                    pieces.push(Piece { offset, bytes: buffer.bytes, write, operand: index });
                }
            }
        }
        if overlapping.is_some() && !pieces.is_empty() {
            return Err(bug(format!(
                "{} has more than constants beside what overlaps",
                step.label
            )));
        }
        pieces.sort_by_key(|piece| (piece.offset, piece.bytes));
        calls.push(Prepared {
            kernel: Arc::clone(&step.call.kernel),
            pieces,
            constants,
            operands: declaration.operands.len(),
            overlapping,
        });
    }
    Ok(calls)
}
