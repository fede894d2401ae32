//! Operators: one file each.
//!
//! A file holds all there is to know of one operator: its attributes, how formats spell it, shape and
//! type inference, its reference meaning, its cost, and how it lowers to kernel calls. One list, below,
//! names them all. Nothing else in the workspace has a `match` over operators.
//!
//! Adding an operator: its file here, its line in the list, its kernel in the crate `kernels` with its
//! line there (only if no kernel serves), its cases under `tests/ops/`.

#[macro_use]
pub mod text;
pub mod broadcast;
pub mod common;
pub mod docs;
pub mod eval;
pub mod gemmlowp;
pub mod lower;
pub mod movement;
mod op;
pub mod pack;
pub mod quant;
pub mod reference;
pub mod rewrite;
pub mod tflite;
pub mod unary;

pub use op::{Cost, Definition, Graph, Numerics, Op, Refusal, TfliteSpelling};

use kinglet_graph::Attribute;
use std::sync::Arc;
use text::TextAttributes;

/// Names the operators' files.
macro_rules! operators {
    ($($module:ident)*) => {
        $(pub mod $module;)*

        /// Every operator, in the order of the list.
        pub const OPERATORS: &[Definition] = &[$($module::DEFINITION),*];
    };
}

operators! {
    add
    assign_variable
    average_pool_2d
    concatenation
    conv2d
    depthwise_conv2d
    dequantize
    expand_dims
    fully_connected
    hard_swish
    leaky_relu
    logistic
    max_pool_2d
    mean
    mul
    neg
    pad
    prelu
    quantize
    read_variable
    relu
    reshape
    resize_nearest_neighbor
    slice
    softmax
    split
    split_v
    squeeze
    strided_slice
    sub
    tanh
    transpose
}

/// The operator with this name in the text form.
pub fn by_name(name: &str) -> Option<&'static Definition> {
    OPERATORS.iter().find(|definition| definition.name == name)
}

/// The operator that TensorFlow Lite spells like this, builtin or custom.
pub fn by_tflite_code(code: &str) -> Option<(&'static Definition, &'static TfliteSpelling)> {
    OPERATORS.iter().find_map(|definition| {
        let spelling = definition.tflite.iter().find(|spelling| spelling.code == code)?;
        Some((definition, spelling))
    })
}

/// Reads an operator from the text form: name and attributes, none missing, none left over.
pub fn parse(name: &str, attributes: Vec<(String, Attribute)>) -> Result<Arc<dyn Op>, Refusal> {
    let Some(definition) = by_name(name) else {
        return Err(Refusal::new(format!("there is no operator {name}")));
    };
    let mut attributes = TextAttributes::new(attributes);
    let op = (definition.parse)(&mut attributes)?;
    match attributes.left().first() {
        Some(left) => Err(Refusal::new(format!("{name} has no attribute {left}"))),
        None => Ok(op),
    }
}
