//! What a target will do.
//!
//! A [`Program`] is a list of steps on buffers and constants; all shapes are numbers and every buffer
//! has its place. The engine runs it, codegen prints it, decide reads memory and flash off it: there is
//! no second model of the truth. Nothing here knows an operator: [`lower`] walks the graph and asks
//! each node's operator for its kernel calls.

mod lower;
mod order;
mod storage;
mod text;

pub use lower::{Options, lower};

use kinglet_graph::{DType, Data, Quantization, TensorId, TensorType};
use kinglet_kernels::declare::{Element, Role};
use kinglet_kernels::reflect::Kernel;
use kinglet_target::Target;
use std::ops::Range;
use std::sync::Arc;

/// Names a buffer of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

/// Names a constant of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConstantId(pub usize);

/// Every buffer and constant starts at a multiple of this many bytes (TFLM-04).
pub const ALIGNMENT: usize = 16;

/// Which block of memory a buffer is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Means nothing from one run to the next.
    Arena,
    /// Outlives a run.
    State,
}

/// A piece of memory.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Its length.
    pub bytes: usize,
    /// The block it is in.
    pub region: Region,
    /// Its start in the block, a multiple of [`ALIGNMENT`].
    pub offset: usize,
    /// The first step at which it holds something that matters.
    pub first: usize,
    /// The last such step.
    pub last: usize,
    /// The graph's tensors it holds, one after the other or as aliases of each other.
    pub tensors: Vec<TensorId>,
    /// What it is where it holds no tensor: `scratch`.
    pub label: String,
}

/// Constant data: weights, tables.
#[derive(Clone, Debug)]
pub struct Constant {
    /// What it is, `weights of conv1`.
    pub label: String,
    /// The bytes, little endian.
    pub data: Data,
    /// How kernels see its elements.
    pub element: Element,
    /// How it is packed; empty when as in the model.
    pub packing: &'static str,
    /// The graph's tensor it was made from, where there is one.
    pub tensor: Option<TensorId>,
}

/// What stands in an operand's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A whole buffer.
    Buffer(BufferId),
    /// A whole constant.
    Constant(ConstantId),
}

/// A kernel call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The kernel with its parameters.
    pub kernel: Arc<dyn Kernel>,
    /// Its operands, in the order of its declaration.
    pub operands: Vec<Operand>,
    /// Whether the program has one copy of the kernel for all its calls (parameters by reference), or
    /// a copy specialized by this call's constants.
    pub shared: bool,
}

/// Memory in which a call's input and output lie over each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlapping {
    /// Which of the operands are the input and the output.
    pub operands: [usize; 2],
    /// The memory, in the one block ([`Program::start`]).
    pub memory: Range<usize>,
    /// The bytes of it that are the input and those that are the output.
    pub images: [Range<usize>; 2],
}

/// A tensor that has its value after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The graph's tensor.
    pub tensor: TensorId,
    /// Where it is.
    pub buffer: BufferId,
}

/// One step. Control steps that name blocks (`if`, `while`, `repeat`) will be further kinds beside the
/// call; see ARCHITECTURE.md.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub call: Call,
    /// The node it belongs to: index in the graph and label for people.
    pub node: usize,
    /// The node's label, `3 conv2d "conv1"`.
    pub label: String,
    /// The tensors that have their value now.
    pub reports: Vec<Report>,
}

/// An input or output as callers see it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub buffer: BufferId,
    /// Its element type and shape.
    pub ty: TensorType,
    /// Its quantization.
    pub quantization: Option<Quantization>,
    /// Labels of the classes, where the model carries them.
    pub labels: Vec<String>,
}

/// A state variable.
#[derive(Clone, Debug)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub buffer: BufferId,
    /// Its start value.
    pub start: Data,
}

/// What the graph knows of a tensor, for those who report by tensor.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// The index in the file.
    pub origin: Option<u32>,
    /// Its type.
    pub ty: TensorType,
}

/// A program.
#[derive(Clone, Debug)]
pub struct Program {
    /// The model's name.
    pub name: String,
    /// The machine it is for.
    pub target: Target,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// All constants.
    pub constants: Vec<Constant>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Tensors that have their value before the first step.
    pub prologue: Vec<Report>,
    /// The inputs in the model's order.
    pub inputs: Vec<Port>,
    /// The outputs in the model's order.
    pub outputs: Vec<Port>,
    /// The state variables.
    pub states: Vec<State>,
    /// The graph's tensors by id.
    pub tensors: Vec<TensorInfo>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Bytes of all state variables.
    pub state_bytes: usize,
    /// No plan of these buffers could need less arena than this.
    pub arena_lower_bound: usize,
    /// Whether the arena is proved to be as small as it can be for this order of steps.
    pub arena_optimal: bool,
}

impl Program {
    /// The buffer with this id.
    ///
    /// # Panics
    /// When the id is of another program.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }

    /// The constant with this id.
    ///
    /// # Panics
    /// When the id is of another program.
    pub fn constant(&self, id: ConstantId) -> &Constant {
        &self.constants[id.0]
    }

    /// Bytes of all constants.
    pub fn constant_bytes(&self) -> usize {
        self.constants.iter().map(|constant| constant.data.bytes().len()).sum()
    }

    /// Where a buffer starts in the one block of a program's memory: state first, then the arena.
    pub fn start(&self, buffer: &Buffer) -> usize {
        match buffer.region {
            Region::State => buffer.offset,
            Region::Arena => self.state_bytes + buffer.offset,
        }
    }

    /// Where the input and the output of a call share memory, if they do: its kernel is then called in that
    /// way ([`Kernel::call_overlapping`]).
    pub fn overlapping(&self, call: &Call) -> Option<Overlapping> {
        let declared = call.kernel.declaration().operands;
        let find = |role| declared.iter().position(|operand| operand.role == role);
        let operands = [find(Role::In)?, find(Role::Out)?];
        let range = |index: usize| match call.operands.get(index)? {
            Operand::Buffer(id) => {
                let buffer = self.buffer(*id);
                let start = self.start(buffer);
                Some(start..start + buffer.bytes)
            }
            Operand::Constant(_) => None,
        };
        let [input, output] = operands.map(range);
        let (input, output) = (input?, output?);
        if input.start >= output.end || output.start >= input.end {
            return None;
        }
        let start = input.start.min(output.start);
        let memory = start..input.end.max(output.end);
        let images = [input, output].map(|image| image.start - start..image.end - start);
        Some(Overlapping { operands, memory, images })
    }

    /// The buffers that matter at a step.
    pub fn live(&self, step: usize) -> impl Iterator<Item = (BufferId, &Buffer)> {
        let buffers = self.buffers.iter().enumerate();
        buffers
            .filter(move |(_, buffer)| (buffer.first..=buffer.last).contains(&step))
            .map(|(index, buffer)| (BufferId(index), buffer))
    }
}

/// The element type a kernel sees for a tensor's.
pub fn element_of(dtype: DType) -> Element {
    match dtype {
        DType::I8 => Element::I8,
        DType::I16 => Element::I16,
        DType::I32 | DType::U32 => Element::I32,
        DType::I64 | DType::U64 => Element::I64,
        DType::F32 => Element::F32,
        _ => Element::U8,
    }
}
