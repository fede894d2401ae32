//! Element types of tensors.

/// The type of a tensor's elements. The discriminant is the number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i8)]
#[allow(missing_docs, reason = "the names are the format's and say it all")]
pub enum TensorType {
    Float32,
    Float16,
    Int32,
    UInt8,
    Int64,
    /// Strings with a table of offsets in front.
    String,
    /// One byte an element, 0 or 1.
    Bool,
    Int16,
    Complex64,
    Int8,
    Float64,
    Complex128,
    UInt64,
    /// A handle to a variable or table.
    Resource,
    /// A list of tensors.
    Variant,
    UInt32,
    UInt16,
    /// Two elements a byte, the first in the low half.
    Int4,
    BFloat16,
    /// Four elements a byte, the first in the lowest bits.
    Int2,
    /// Two elements a byte, the first in the low half.
    UInt4,
    Float8E4M3FN,
    Float8E5M2,
}

impl TensorType {
    /// Every type, in the order of their numbers.
    pub const ALL: [TensorType; 23] = [
        TensorType::Float32,
        TensorType::Float16,
        TensorType::Int32,
        TensorType::UInt8,
        TensorType::Int64,
        TensorType::String,
        TensorType::Bool,
        TensorType::Int16,
        TensorType::Complex64,
        TensorType::Int8,
        TensorType::Float64,
        TensorType::Complex128,
        TensorType::UInt64,
        TensorType::Resource,
        TensorType::Variant,
        TensorType::UInt32,
        TensorType::UInt16,
        TensorType::Int4,
        TensorType::BFloat16,
        TensorType::Int2,
        TensorType::UInt4,
        TensorType::Float8E4M3FN,
        TensorType::Float8E5M2,
    ];

    /// The type with this number in the schema.
    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// Bits an element takes; `None` where elements have no fixed size (strings, handles, variants).
    pub const fn bits(self) -> Option<usize> {
        match self {
            TensorType::Int2 => Some(2),
            TensorType::Int4 | TensorType::UInt4 => Some(4),
            TensorType::UInt8
            | TensorType::Int8
            | TensorType::Bool
            | TensorType::Float8E4M3FN
            | TensorType::Float8E5M2 => Some(8),
            TensorType::Float16 | TensorType::BFloat16 | TensorType::Int16 | TensorType::UInt16 => {
                Some(16)
            }
            TensorType::Float32 | TensorType::Int32 | TensorType::UInt32 => Some(32),
            TensorType::Float64
            | TensorType::Int64
            | TensorType::UInt64
            | TensorType::Complex64 => Some(64),
            TensorType::Complex128 => Some(128),
            TensorType::String | TensorType::Resource | TensorType::Variant => None,
        }
    }

    /// The schema's name, `INT8`; for people and for the names of attributes' values.
    pub const fn name(self) -> &'static str {
        match self {
            TensorType::Float32 => "FLOAT32",
            TensorType::Float16 => "FLOAT16",
            TensorType::Int32 => "INT32",
            TensorType::UInt8 => "UINT8",
            TensorType::Int64 => "INT64",
            TensorType::String => "STRING",
            TensorType::Bool => "BOOL",
            TensorType::Int16 => "INT16",
            TensorType::Complex64 => "COMPLEX64",
            TensorType::Int8 => "INT8",
            TensorType::Float64 => "FLOAT64",
            TensorType::Complex128 => "COMPLEX128",
            TensorType::UInt64 => "UINT64",
            TensorType::Resource => "RESOURCE",
            TensorType::Variant => "VARIANT",
            TensorType::UInt32 => "UINT32",
            TensorType::UInt16 => "UINT16",
            TensorType::Int4 => "INT4",
            TensorType::BFloat16 => "BFLOAT16",
            TensorType::Int2 => "INT2",
            TensorType::UInt4 => "UINT4",
            TensorType::Float8E4M3FN => "FLOAT8_E4M3FN",
            TensorType::Float8E5M2 => "FLOAT8_E5M2",
        }
    }

    /// The type with this name in the schema.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|element| element.name() == name)
    }

    /// Bytes that `elements` elements take, the last one's byte filled up; `None` where elements have
    /// no fixed size or the number is beyond the machine.
    pub fn bytes(self, elements: usize) -> Option<usize> {
        Some(elements.checked_mul(self.bits()?)?.div_ceil(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tflite::schema::TENSOR_TYPE;

    #[test]
    fn types_are_those_of_the_schema() {
        assert_eq!(TENSOR_TYPE.values.len(), TensorType::ALL.len());
        for (code, name) in TENSOR_TYPE.values {
            let element = TensorType::from_code(i8::try_from(*code).unwrap()).unwrap();
            assert_eq!(element as i64, *code);
            assert_eq!(element.name(), *name);
            assert_eq!(TensorType::from_name(name), Some(element));
        }
        assert_eq!(TensorType::from_code(-1), None);
        assert_eq!(TensorType::from_code(23), None);
    }

    #[test]
    fn odd_numbers_of_small_elements_fill_the_last_byte() {
        assert_eq!(TensorType::Int4.bytes(3), Some(2));
        assert_eq!(TensorType::Int2.bytes(5), Some(2));
        assert_eq!(TensorType::Float32.bytes(usize::MAX / 2), None);
        assert_eq!(TensorType::String.bytes(1), None);
    }
}
