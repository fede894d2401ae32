//! The interface of a printed crate around nothing: linked with the harness, it shows what the harness
//! itself costs. One input and one output, so that reading and writing are in it.
#![no_std]
#![forbid(unsafe_code)]

/// Number of inputs.
pub const INPUTS: usize = 1;
/// Number of outputs.
pub const OUTPUTS: usize = 1;

/// The memory: one block that is both input and output.
#[repr(C, align(16))]
pub struct Arena([u8; 16]);

impl Arena {
    /// All zeros.
    pub const ZERO: Self = Self([0; 16]);
}

/// The model with its memory.
pub struct Model<'a> {
    memory: &'a mut [u8; 16],
}

impl<'a> Model<'a> {
    /// Takes the memory.
    pub fn new(arena: &'a mut Arena) -> Self {
        Self { memory: &mut arena.0 }
    }

    /// There is no state.
    pub fn reset(&mut self) {}

    /// The bytes of an input by position; empty when there is none.
    pub fn input_bytes_mut(&mut self, index: usize) -> &mut [u8] {
        let range = match index {
            0 => 0..16,
            _ => 0..0,
        };
        self.memory.get_mut(range).unwrap_or_default()
    }

    /// The bytes of an output by position; empty when there is none.
    pub fn output_bytes(&self, index: usize) -> &[u8] {
        let range = match index {
            0 => 0..16,
            _ => 0..0,
        };
        self.memory.get(range).unwrap_or_default()
    }

    /// Nothing to compute.
    pub fn run(&mut self) {}
}
