//! Tensors: element type, shape, quantization, and where the value comes from.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the type it names")]
pub enum DType {
    Bool,
    I4,
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
    Complex64,
    Complex128,
    String,
    /// A handle to a state variable; only importers see it.
    Resource,
}

const NAMES: &[(DType, &str)] = &[
    (DType::Bool, "bool"),
    (DType::I4, "i4"),
    (DType::I8, "i8"),
    (DType::U8, "u8"),
    (DType::I16, "i16"),
    (DType::U16, "u16"),
    (DType::I32, "i32"),
    (DType::U32, "u32"),
    (DType::I64, "i64"),
    (DType::U64, "u64"),
    (DType::F16, "f16"),
    (DType::F32, "f32"),
    (DType::F64, "f64"),
    (DType::Complex64, "c64"),
    (DType::Complex128, "c128"),
    (DType::String, "string"),
    (DType::Resource, "resource"),
];

impl DType {
    /// Its name in the text form.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(dtype, _)| *dtype == self).map_or("?", |(_, name)| name)
    }

    /// The type with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, n)| *n == name).map(|(dtype, _)| *dtype)
    }

    /// Bits of one element; 0 for types without a fixed size.
    pub fn bits(self) -> usize {
        match self {
            DType::I4 => 4,
            DType::Bool | DType::I8 | DType::U8 => 8,
            DType::I16 | DType::U16 | DType::F16 => 16,
            DType::I32 | DType::U32 | DType::F32 => 32,
            DType::I64 | DType::U64 | DType::F64 | DType::Complex64 => 64,
            DType::Complex128 => 128,
            DType::String | DType::Resource => 0,
        }
    }

    /// Whether it is a binary floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::F32 | DType::F64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An element type and a shape; all dimensions are numbers. Printed `i8[1,49,10,1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The lengths of the axes; empty for a scalar.
    pub shape: Vec<usize>,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// Number of elements; `None` when it does not fit a `usize`.
    pub fn checked_len(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))
    }

    /// Number of elements, of a verified graph.
    pub fn len(&self) -> usize {
        self.checked_len().unwrap_or(usize::MAX)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all elements, packed; `None` when it does not fit a `usize`.
    pub fn checked_bytes(&self) -> Option<usize> {
        Some(self.checked_len()?.checked_mul(self.dtype.bits())?.div_ceil(8))
    }

    /// Bytes of all elements, of a verified graph.
    pub fn bytes(&self) -> usize {
        self.checked_bytes().unwrap_or(usize::MAX)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, dim) in self.shape.iter().enumerate() {
            write!(f, "{}{dim}", if i > 0 { "," } else { "" })?;
        }
        f.write_str("]")
    }
}

/// Affine quantization: `real = scale * (q - zero_point)`, with one scale for the whole tensor or one
/// for each index along `axis`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// Scales: one, or one for each index along `axis`.
    pub scales: Vec<f32>,
    /// Zero points, as many as scales.
    pub zero_points: Vec<i64>,
    /// The quantized dimension; 0 when there is one scale only.
    pub axis: usize,
}

impl Quantization {
    /// One scale for the whole tensor.
    pub fn per_tensor(scale: f32, zero_point: i64) -> Self {
        Self { scales: vec![scale], zero_points: vec![zero_point], axis: 0 }
    }

    /// The scale and zero point of a tensor that has one only.
    pub fn single(&self) -> Option<(f32, i64)> {
        match (self.scales.as_slice(), self.zero_points.as_slice()) {
            ([scale], [zero_point]) => Some((*scale, *zero_point)),
            _ => None,
        }
    }
}

/// Bytes of a constant: a range of a shared block, little endian, packed. Clones share the block, so
/// the weights of a model are in memory once, in the bytes of its file.
#[derive(Clone)]
pub struct Data {
    block: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Data {
    /// Owns these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { block: Arc::new(bytes), range }
    }

    /// A part of a block; `None` when the range leads outside.
    pub fn part(block: &Arc<Vec<u8>>, range: Range<usize>) -> Option<Self> {
        block.get(range.clone())?;
        Some(Self { block: Arc::clone(block), range })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.block.get(self.range.clone()).unwrap_or(&[])
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.range.len())
    }
}

/// Where a tensor's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorKind {
    /// Computed by a node, or given by the caller.
    Value,
    /// Known.
    Constant(Data),
    /// Kept from one run to the next; the data is the start value.
    State(Data),
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The file's name, or empty.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
    /// Quantization, where the tensor has one.
    pub quantization: Option<Quantization>,
    /// Where its value comes from.
    pub kind: TensorKind,
    /// The index in the file, where the tensor came from one.
    pub origin: Option<u32>,
    /// Axes that the file leaves free; `ty` holds the value they are bound to.
    pub free_axes: Vec<usize>,
}

impl Tensor {
    /// A value of this type, without quantization.
    pub fn value(name: impl Into<String>, ty: TensorType) -> Self {
        Self {
            name: name.into(),
            ty,
            quantization: None,
            kind: TensorKind::Value,
            origin: None,
            free_axes: Vec::new(),
        }
    }

    /// The data, when the tensor is a constant.
    pub fn constant(&self) -> Option<&Data> {
        match &self.kind {
            TensorKind::Constant(data) => Some(data),
            TensorKind::Value | TensorKind::State(_) => None,
        }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.ty.dtype
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }
}
