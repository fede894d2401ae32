//! All constants of a program in one block, as `weights.bin` holds it.

use kinglet_program::{ALIGNMENT, ConstantId, Program};

/// The block and where each constant is in it.
#[derive(Clone, Debug)]
pub struct Weights {
    /// The block.
    pub bytes: Vec<u8>,
    offsets: Vec<usize>,
}

impl Weights {
    /// The constants of a program, each at a multiple of [`ALIGNMENT`] where its elements are larger
    /// than a byte; byte-sized ones follow each other closely.
    pub fn of(program: &Program) -> Self {
        let mut bytes = Vec::new();
        let mut offsets = Vec::with_capacity(program.constants.len());
        for constant in &program.constants {
            let align = if constant.element.bytes() > 1 { constant.element.bytes() } else { 1 };
            let align = align.min(ALIGNMENT);
            bytes.resize(bytes.len().next_multiple_of(align), 0);
            offsets.push(bytes.len());
            bytes.extend_from_slice(constant.data.bytes());
        }
        Self { bytes, offsets }
    }

    /// Where a constant starts.
    pub fn offset(&self, id: ConstantId) -> usize {
        self.offsets.get(id.0).copied().unwrap_or(0)
    }
}
