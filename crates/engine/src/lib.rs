//! Runs models on this machine: [`Interpreter`] runs a graph by its operators' reference meaning,
//! [`Machine`] runs a program by its kernels. Neither knows an operator or a kernel by name.

mod interpreter;
mod machine;
mod memory;

pub use interpreter::Interpreter;
pub use machine::Machine;

use kinglet_graph::TensorId;

/// What a run tells about a tensor in between: its id and its bytes, packed, little endian.
pub type Tap<'a> = &'a mut dyn FnMut(TensorId, &[u8]);
