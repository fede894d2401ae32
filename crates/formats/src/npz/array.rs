//! Arrays: a type, a shape, little-endian bytes in C order.

use kinglet_diag::{Diagnostic, Result, code};
use std::borrow::Cow;
use std::fmt;

/// The element type of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it all")]
pub enum DType {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

impl DType {
    /// Every type.
    pub const ALL: [DType; 12] = [
        DType::Bool,
        DType::I8,
        DType::U8,
        DType::I16,
        DType::U16,
        DType::I32,
        DType::U32,
        DType::I64,
        DType::U64,
        DType::F16,
        DType::F32,
        DType::F64,
    ];

    /// Bytes an element takes.
    pub const fn bytes(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 => 1,
            DType::I16 | DType::U16 | DType::F16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 => 8,
        }
    }

    /// NumPy's name, `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "int8",
            DType::U8 => "uint8",
            DType::I16 => "int16",
            DType::U16 => "uint16",
            DType::I32 => "int32",
            DType::U32 => "uint32",
            DType::I64 => "int64",
            DType::U64 => "uint64",
            DType::F16 => "float16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An array. Its bytes always match its type and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    dtype: DType,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Array {
    /// An array of little-endian bytes in C order. An error if there are more or fewer bytes than type
    /// and shape ask for.
    pub fn new(dtype: DType, shape: Vec<usize>, data: Vec<u8>) -> Result<Self> {
        match byte_size(dtype, &shape) {
            Some(expected) if expected == data.len() => Ok(Self { dtype, shape, data }),
            expected => Err(Diagnostic::error(
                code::ARRAY_TYPE,
                format!(
                    "{} bytes do not make an array of {dtype} {shape:?}, which takes {}",
                    data.len(),
                    expected.map_or_else(|| "more than any memory".to_owned(), |n| n.to_string())
                ),
            )
            .help("give the array the shape that its data have")
            .into()),
        }
    }

    /// An array from elements in C order.
    pub fn from_elements<T: Element>(shape: Vec<usize>, elements: &[T]) -> Result<Self> {
        let mut data = bytemuck::cast_slice(elements).to_vec();
        if cfg!(target_endian = "big") {
            swap(&mut data, T::DTYPE.bytes());
        }
        Self::new(T::DTYPE, shape, data)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dimensions; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.bytes()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The bytes, little-endian, in C order.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, little-endian, in C order.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The elements, borrowed where alignment and byte order allow. An error if the array is of another
    /// type.
    pub fn view<T: Element>(&self) -> Result<Cow<'_, [T]>> {
        if self.dtype != T::DTYPE {
            return Err(Diagnostic::error(
                code::ARRAY_TYPE,
                format!("the array is {}, {} is wanted", self.dtype, T::DTYPE),
            )
            .help(format!("convert it before saving: a.astype(numpy.{})", T::DTYPE))
            .into());
        }
        if cfg!(target_endian = "big") {
            let mut data = self.data.clone();
            swap(&mut data, T::DTYPE.bytes());
            return Ok(Cow::Owned(bytemuck::allocation::pod_collect_to_vec(&data)));
        }
        Ok(match bytemuck::try_cast_slice(&self.data) {
            Ok(elements) => Cow::Borrowed(elements),
            Err(_) => Cow::Owned(bytemuck::allocation::pod_collect_to_vec(&self.data)),
        })
    }

    /// The same elements under another shape. An error if their number differs.
    pub fn reshape(self, shape: Vec<usize>) -> Result<Self> {
        Self::new(self.dtype, shape, self.data)
    }
}

/// A Rust type that elements of an array can be seen as. [`DType::Bool`] and [`DType::F16`] have none:
/// not every byte is a `bool`, and there is no stable half-precision type.
pub trait Element: bytemuck::Pod {
    /// The element type.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($t:ty => $dtype:ident,)*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$dtype;
        }
    )*};
}
elements! {
    i8 => I8, u8 => U8, i16 => I16, u16 => U16, i32 => I32, u32 => U32, i64 => I64, u64 => U64,
    f32 => F32, f64 => F64,
}

/// Bytes that an array takes; `None` if that is beyond the machine.
pub(super) fn byte_size(dtype: DType, shape: &[usize]) -> Option<usize> {
    // A dimension of 0 makes the array empty, whatever the others are, and the product must not depend
    // on their order.
    if shape.contains(&0) {
        return Some(0);
    }
    let elements = shape.iter().try_fold(1usize, |product, d| product.checked_mul(*d))?;
    elements.checked_mul(dtype.bytes()).filter(|bytes| isize::try_from(*bytes).is_ok())
}

/// Reverses the bytes of each element.
pub(super) fn swap(data: &mut [u8], size: usize) {
    for element in data.chunks_exact_mut(size) {
        element.reverse();
    }
}
