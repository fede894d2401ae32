//! A program as a listing for people and for tests.

use crate::{Operand, Program, Region};
use std::fmt;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "program \"{}\" arena {} state {} constants {}",
            self.name,
            self.arena_bytes,
            self.state_bytes,
            self.constant_bytes()
        )?;
        for (index, buffer) in self.buffers.iter().enumerate() {
            let region = match buffer.region {
                Region::Arena => "arena",
                Region::State => "state",
            };
            write!(
                f,
                "  b{index}: {region}[{}..{}] live {}..={}",
                buffer.offset,
                buffer.offset + buffer.bytes,
                buffer.first,
                buffer.last
            )?;
            if !buffer.label.is_empty() {
                write!(f, " {}", buffer.label)?;
            }
            for tensor in &buffer.tensors {
                write!(f, " {tensor}")?;
            }
            writeln!(f)?;
        }
        for (index, constant) in self.constants.iter().enumerate() {
            write!(f, "  c{index}: {} bytes, {}", constant.data.bytes().len(), constant.label)?;
            if !constant.packing.is_empty() {
                write!(f, " ({})", constant.packing)?;
            }
            writeln!(f)?;
        }
        for port in &self.inputs {
            writeln!(f, "  input \"{}\": {} in b{}", port.name, port.ty, port.buffer.0)?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            let call = &step.call;
            let declaration = call.kernel.declaration();
            let kind = if call.shared { "" } else { " specialized" };
            write!(f, "  {index}:{kind} {}(", declaration.name)?;
            for (i, operand) in call.operands.iter().enumerate() {
                let separator = if i > 0 { ", " } else { "" };
                match operand {
                    Operand::Buffer(id) => write!(f, "{separator}b{}", id.0)?,
                    Operand::Constant(id) => write!(f, "{separator}c{}", id.0)?,
                }
            }
            write!(f, ") ")?;
            call.kernel.print(f)?;
            writeln!(f, " // {}", step.label)?;
        }
        for port in &self.outputs {
            writeln!(f, "  output \"{}\": {} in b{}", port.name, port.ty, port.buffer.0)?;
        }
        Ok(())
    }
}
