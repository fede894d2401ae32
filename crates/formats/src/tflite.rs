//! TensorFlow Lite model files: bytes to plain records.
//!
//! [`read`] is the way in. The records borrow weights and custom options from the file's bytes and own
//! everything else. They say what the file says, nothing more: an operator is a code, tensor indices
//! and [`Attributes`]; whether that makes sense is for the importer.
//!
//! What is checked: identifier and version; every offset and length; every index of a tensor, buffer,
//! operator code and subgraph; shapes; the length of constant data against shape and type; the number
//! of scales against zero points and the quantized dimension; options against their operator. What is
//! not: the order of operators, cycles between subgraphs, and everything that depends on an operator's
//! meaning.

mod attributes;
mod element;
mod files;
mod flat;
mod metadata;
mod read;
mod schema;
mod tensor;
#[cfg(test)]
mod tests;

pub use attributes::{Attribute, Attributes, Value};
pub use element::TensorType;
pub use files::AssociatedFile;
pub use metadata::{FileInfo, ModelInfo, SubgraphInfo, TensorInfo};
pub use read::read;

use kinglet_diag::{Diagnostic, Place};

/// A model file.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    /// The schema's version; always 3.
    pub version: u32,
    /// What the converter wrote about the model.
    pub description: String,
    /// The kinds of operators; [`Operator::code`] is an index into this list.
    pub operator_codes: Vec<OperatorCode>,
    /// The subgraphs; the first is the main one. Never empty.
    pub subgraphs: Vec<Subgraph<'a>>,
    /// Named blobs: name and content.
    pub metadata: Vec<(String, &'a [u8])>,
    /// Named entry points.
    pub signatures: Vec<Signature>,
    /// Names and descriptions from the model metadata, if the file has them.
    pub info: Option<ModelInfo>,
    /// The files packed behind the model: labels, vocabularies.
    pub associated_files: Vec<AssociatedFile>,
    /// What is odd about the file and does not keep it from being used.
    pub warnings: Vec<Diagnostic>,
}

/// A kind of operator, in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCode {
    /// The builtin code; 32 for a custom operator.
    pub builtin: i32,
    /// The code's name, `CONV_2D`; `BUILTIN_250` for one the schema does not know; `CUSTOM` for a
    /// custom operator.
    pub name: String,
    /// The name of a custom operator.
    pub custom: Option<String>,
    /// The operator's version, counted from 1.
    pub version: i32,
    /// Byte offset in the file.
    pub offset: u64,
}

/// A graph of operators in execution order.
#[derive(Clone, Debug)]
pub struct Subgraph<'a> {
    /// Its name; may be empty.
    pub name: String,
    /// Its tensors. All tensor indices of the subgraph are into this list.
    pub tensors: Vec<Tensor<'a>>,
    /// The tensors fed from outside.
    pub inputs: Vec<usize>,
    /// The tensors handed out.
    pub outputs: Vec<usize>,
    /// Its operators.
    pub operators: Vec<Operator<'a>>,
    /// Byte offset in the file.
    pub offset: u64,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'a> {
    /// Its name; may be empty, need not be unique.
    pub name: String,
    /// Its dimensions. None is below -1; -1 (unknown) occurs only where there is no data.
    pub shape: Vec<i32>,
    /// The dimensions with -1 for the free ones, if the file says so.
    pub shape_signature: Option<Vec<i32>>,
    /// Whether the file declares the rank as known; few writers do. A tensor with dimensions has a
    /// rank either way.
    pub has_rank: bool,
    /// Its element type.
    pub element: TensorType,
    /// Its buffer; 0 means none.
    pub buffer: usize,
    /// Its constant data, little-endian, of exactly the size that shape and type ask for (any size
    /// for strings, handles and sparse tensors).
    pub data: Option<&'a [u8]>,
    /// How integers stand for reals.
    pub quantization: Option<Quantization<'a>>,
    /// Whether it keeps its value between runs.
    pub is_variable: bool,
    /// How `data` expands, if it is sparse.
    pub sparsity: Option<Sparsity>,
    /// What a tensor of type [`TensorType::Variant`] holds.
    pub variants: Vec<VariantType>,
    /// Byte offset in the file.
    pub offset: u64,
}

/// How integers stand for reals: real = scale * (q - zero_point).
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization<'a> {
    /// One scale, or one for each index along `quantized_dimension`; empty if there is none.
    pub scales: Vec<f32>,
    /// As many zero points as scales.
    pub zero_points: Vec<i64>,
    /// The dimension the scales belong to; within the rank if there is more than one scale, and 0 for
    /// a tensor of one dimension whatever the file says.
    pub quantized_dimension: i32,
    /// The smallest real, as the converter noted it.
    pub min: Vec<f32>,
    /// The largest real, as the converter noted it.
    pub max: Vec<f32>,
    /// Another scheme that replaces scales and zero points.
    pub details: Option<QuantizationDetails<'a>>,
}

/// A quantization scheme that is not one scale for a tensor or a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuantizationDetails<'a> {
    /// Bytes that only the writer understands.
    Custom(&'a [u8]),
    /// One scale for each block of elements.
    Blockwise {
        /// The tensor of scales.
        scales: i32,
        /// The tensor of zero points; -1 means all are 0.
        zero_points: i32,
        /// Elements in a block.
        block_size: i32,
    },
    /// Scales along several dimensions.
    MultiAxis {
        /// The tensor of scales.
        scales: i32,
        /// The tensor of zero points; -1 means all are 0.
        zero_points: i32,
        /// Elements in a block; 0 means one scale for each index.
        block_size: i32,
        /// The dimensions.
        dimensions: Vec<i32>,
    },
}

/// How the data of a sparse tensor expands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparsity {
    /// The order in which dimensions, then block dimensions, are stored.
    pub traversal_order: Vec<i32>,
    /// The dimension each block dimension belongs to.
    pub block_map: Vec<i32>,
    /// One for each entry of `traversal_order`.
    pub dimensions: Vec<SparseDimension>,
}

/// One stored dimension of a sparse tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SparseDimension {
    /// Every index is stored.
    Dense {
        /// How many there are.
        size: i32,
    },
    /// Compressed rows.
    Compressed {
        /// Where each row's indices start and end.
        segments: Vec<i32>,
        /// The indices that are stored.
        indices: Vec<i32>,
    },
}

/// The type of a tensor inside a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantType {
    /// Its dimensions.
    pub shape: Vec<i32>,
    /// Its element type.
    pub element: TensorType,
    /// Whether the rank is known.
    pub has_rank: bool,
}

/// One use of an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator<'a> {
    /// An index into [`Model::operator_codes`].
    pub code: usize,
    /// The tensors it reads; `None` for an optional input left out (-1 in the file).
    pub inputs: Vec<Option<usize>>,
    /// The tensors it writes.
    pub outputs: Vec<usize>,
    /// Tensors that describe values inside the operator.
    pub intermediates: Vec<usize>,
    /// For each input whether the operator changes it; empty if it changes none.
    pub mutating_variable_inputs: Vec<bool>,
    /// Its options.
    pub attributes: Attributes<'a>,
    /// The options of a custom operator, in its own encoding.
    pub custom_options: Option<&'a [u8]>,
    /// Byte offset in the file.
    pub offset: u64,
}

/// A named entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Its key, `serving_default`.
    pub key: String,
    /// The subgraph it runs.
    pub subgraph: usize,
    /// Names and tensors fed.
    pub inputs: Vec<(String, usize)>,
    /// Names and tensors handed out.
    pub outputs: Vec<(String, usize)>,
}

impl OperatorCode {
    /// What people call it: the custom name, or the builtin one.
    pub fn label(&self) -> &str {
        self.custom.as_deref().unwrap_or(&self.name)
    }
}

/// The name of a builtin operator code, `CONV_2D`; `None` if the schema does not have it.
pub fn operator_name(code: i32) -> Option<&'static str> {
    schema::OPERATORS.iter().find(|(known, ..)| *known == code).map(|(_, name, _)| *name)
}

/// The code of a builtin operator by name.
pub fn operator_code(name: &str) -> Option<i32> {
    schema::OPERATORS.iter().find(|(_, known, _)| *known == name).map(|(code, ..)| *code)
}

/// The attributes a builtin operator has when nothing is written for it.
pub fn default_attributes(code: i32) -> Attributes<'static> {
    let table = schema::OPERATORS.iter().find(|(known, ..)| *known == code);
    table.and_then(|(.., table)| *table).map_or_else(Attributes::none, Attributes::defaults)
}

/// The place of a tensor in a diagnostic: its index in the file and its name.
pub fn tensor_place(index: usize, name: &str) -> Place {
    Place::Tensor(format!("{index} \"{name}\""))
}

/// The place of a node in a diagnostic: its index in execution order and its operator.
pub fn node_place(index: usize, operator: &str) -> Place {
    Place::Node(format!("{index} {operator}"))
}
