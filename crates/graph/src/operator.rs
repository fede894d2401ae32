//! What a graph knows of an operator.

use crate::{Tensor, TensorType};
use std::fmt;

/// An attribute's value in the text form.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// `3`
    Int(i64),
    /// `0.5`
    Float(f32),
    /// `true`
    Bool(bool),
    /// `same`: one of a few words the operator knows.
    Word(String),
    /// `[1, 2]`
    Ints(Vec<i64>),
    /// `[0.5, 1.0]`
    Floats(Vec<f32>),
    /// `"any text"`
    Text(String),
}

/// Why an operator cannot have these inputs: one sentence without a full stop. The caller knows the
/// node and adds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferError(pub String);

impl fmt::Display for InferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Into<String>> From<S> for InferError {
    fn from(text: S) -> Self {
        Self(text.into())
    }
}

/// A kind of computation with its attributes. No method has a default: the compiler is the checklist.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Its name in the text form, snake case: `depthwise_conv2d`. The words the text form itself starts
    /// a statement with cannot be names: `input`, `output`, `description`, `constant`, `state`, `node`,
    /// and `t0` and its like.
    fn name(&self) -> &'static str;

    /// Its attributes, all of them, in a fixed order; the text form prints and reads them back.
    fn attributes(&self) -> Vec<(&'static str, Attribute)>;

    /// The types of its outputs from its inputs. `None` stands for an absent optional input. An
    /// operator may look at the data of a constant input.
    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError>;

    /// The inputs, by position, that must be state variables and get a new value when the operator
    /// runs: after all reads of the node itself.
    fn assigned_states(&self) -> &'static [usize];
}
