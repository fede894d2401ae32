//! Kernels as values: what a host needs to run, print and encode a call it does not know by type.

use crate::declare::{Declaration, ElementType};
use crate::rows::Distances;
use core::fmt::{self, Write};
use core::ops::Range;

/// Untyped memory for one operand of a call.
#[derive(Debug)]
pub enum Operand<'a> {
    /// Memory the kernel may only read.
    Read(&'a [u8]),
    /// Memory the kernel may write.
    Write(&'a mut [u8]),
}

impl Operand<'_> {
    /// The operand as elements; empty when it is misaligned or not a whole number of elements, which
    /// a kernel takes as "nothing to do".
    pub fn read<T: ElementType>(&self) -> &[T] {
        let bytes = match self {
            Operand::Read(bytes) => bytes,
            Operand::Write(bytes) => &**bytes,
        };
        bytemuck::try_cast_slice(bytes).unwrap_or(&[])
    }

    /// The operand as elements to write; empty as in [`Operand::read`], or when it is read-only.
    pub fn write<T: ElementType>(&mut self) -> &mut [T] {
        match self {
            Operand::Read(_) => &mut [],
            Operand::Write(bytes) => bytemuck::try_cast_slice_mut(bytes).unwrap_or(&mut []),
        }
    }
}

/// A kernel with its parameters, ready to be called.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// Name, version and operands.
    fn declaration(&self) -> &'static Declaration;

    /// Writes the parameters as a Rust expression.
    fn print(&self, out: &mut dyn Write) -> fmt::Result;

    /// Gives the parameters as bytes of a program image, little endian, in pieces.
    fn encode(&self, out: &mut dyn FnMut(&[u8]));

    /// Computes. The operands stand in the order of the declaration; a wrong number does nothing.
    fn call(&self, operands: &mut [Operand<'_>]);

    /// How far apart its input and its output, of so many bytes, must start so that they may overlap otherwise;
    /// `None` when the kernel cannot compute where they do.
    fn distances(&self, _sizes: [u64; 2]) -> Option<Distances> {
        None
    }

    /// Computes where input and output overlap, as [`Kernel::distances`] allows; both are ranges of bytes of
    /// `memory`, and the other operands stand in the order of the declaration. A kernel that cannot do so does
    /// nothing.
    fn call_overlapping(
        &self,
        _memory: &mut [u8],
        _images: [Range<usize>; 2],
        _constants: &[Operand<'_>],
    ) {
    }
}

/// A kernel's declaration, by type.
pub trait Declared {
    /// The declaration.
    const DECLARATION: &'static Declaration;
}

/// A value that can be a kernel's parameter.
pub trait Field {
    /// Writes it as a Rust expression.
    fn print(&self, out: &mut dyn Write) -> fmt::Result;

    /// Gives its bytes, little endian.
    fn encode(&self, out: &mut dyn FnMut(&[u8]));

    /// Takes it from the front of `bytes`; `None` when they are too few or mean nothing.
    fn decode(bytes: &mut &[u8]) -> Option<Self>
    where
        Self: Sized;
}

macro_rules! integer_fields {
    ($($integer:ty),*) => { $(
        impl Field for $integer {
            fn print(&self, out: &mut dyn Write) -> fmt::Result {
                write!(out, "{self}")
            }

            fn encode(&self, out: &mut dyn FnMut(&[u8])) {
                out(&self.to_le_bytes());
            }

            fn decode(bytes: &mut &[u8]) -> Option<Self> {
                let (head, tail) = bytes.split_first_chunk()?;
                *bytes = tail;
                Some(Self::from_le_bytes(*head))
            }
        }
    )* };
}
integer_fields!(u8, i8, u16, i16, u32, i32, i64);

impl Field for bool {
    fn print(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{self}")
    }

    fn encode(&self, out: &mut dyn FnMut(&[u8])) {
        out(&[u8::from(*self)]);
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        match u8::decode(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Field for f32 {
    fn print(&self, out: &mut dyn Write) -> fmt::Result {
        // `{:?}` prints the shortest decimal that reads back to the same bits, but has no Rust
        // spelling for the values below.
        if self.is_nan() {
            write!(out, "f32::from_bits({:#x})", self.to_bits())
        } else if self.is_infinite() {
            out.write_str(if *self > 0.0 { "f32::INFINITY" } else { "f32::NEG_INFINITY" })
        } else {
            write!(out, "{self:?}")
        }
    }

    fn encode(&self, out: &mut dyn FnMut(&[u8])) {
        out(&self.to_bits().to_le_bytes());
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self::from_bits(u32::from_le_bytes(i32::decode(bytes)?.to_le_bytes())))
    }
}

impl<T: Field + Copy + Default, const N: usize> Field for [T; N] {
    fn print(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str("[")?;
        for item in self {
            item.print(out)?;
            out.write_str(", ")?;
        }
        out.write_str("]")
    }

    fn encode(&self, out: &mut dyn FnMut(&[u8])) {
        for item in self {
            item.encode(out);
        }
    }

    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let mut items = [T::default(); N];
        for item in &mut items {
            *item = T::decode(bytes)?;
        }
        Some(items)
    }
}
