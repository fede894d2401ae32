//! What an operator is to the rest of the tool: the trait each one implements and its entry in the
//! list.

use crate::common::Activation;
use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::rewrite::Border;
use crate::text::TextAttributes;
use crate::tflite::{Reading, TfliteNode};
use kinglet_graph::{Operator, Tensor};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A graph of these operators.
pub type Graph = kinglet_graph::Graph<dyn Op>;

/// Why a node is refused: one sentence without a full stop, and what would make it work. The caller
/// knows file and node and adds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub why: String,
    /// What to do about it, where there is something.
    pub help: Option<String>,
}

impl Refusal {
    /// A refusal without advice.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), help: None }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl<S: Into<String>> From<S> for Refusal {
    fn from(text: S) -> Self {
        Self::new(text)
    }
}

/// What one run of a node costs, counted from shapes alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates, dense: a filter tap on padding counts.
    pub macs: u64,
    /// Elements computed or moved by anything that is not a multiply-accumulate.
    pub elements: u64,
}

impl Cost {
    /// A cost without multiply-accumulates: the elements of all outputs.
    pub fn of_outputs(outputs: &[&Tensor]) -> Self {
        Self { macs: 0, elements: outputs.iter().map(|t| t.ty.len() as u64).sum() }
    }
}

/// An operator: all that Kinglet knows of one kind of computation.
///
/// What it means has no default: the compiler is the checklist. What it *offers* to passes has one, and
/// the default is to offer nothing: an operator without offers is right, and only less fast.
pub trait Op: Operator {
    /// What it means: computes the outputs by the plainest code that can be right. Integers exactly as
    /// the format's reference does; f32 sums in f64.
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal>;

    /// What it costs.
    fn cost(&self, inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost;

    /// How it becomes kernel calls.
    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal>;

    /// Offer: the node only puts this border around the images of its first input.
    fn as_border(&self, _inputs: &[Option<&Tensor>], _output: &Tensor) -> Option<Border> {
        None
    }

    /// Offer: the operator that computes from the images in `inputs` what this one computes from the
    /// images with the border (`padded`), to the bit.
    fn with_border(
        &self,
        _border: &Border,
        _inputs: &[Option<&Tensor>],
        _padded: &Tensor,
    ) -> Option<Arc<dyn Op>> {
        None
    }

    /// Offer: the node does what this fused activation would do at the end of the operator before it,
    /// to the bit.
    fn as_activation(&self, _input: &Tensor, _output: &Tensor) -> Option<Activation> {
        None
    }

    /// Offer: this operator with the activation after what it does now.
    fn with_activation(&self, _activation: Activation) -> Option<Arc<dyn Op>> {
        None
    }
}

/// How TensorFlow Lite spells an operator.
pub struct TfliteSpelling {
    /// The builtin operator's name, `CONV_2D`, or the custom operator's.
    pub code: &'static str,
    /// The operator versions that are read by the rules here.
    pub versions: RangeInclusive<i32>,
    /// Reads attributes into an operator.
    pub read: fn(&TfliteNode<'_>) -> Result<Reading, Refusal>,
}

/// One row of the numerics page: how one element type is computed.
pub struct Numerics {
    /// The element types, as a reader would write them: `i8`.
    pub types: &'static str,
    /// Where and how values are rounded.
    pub rounding: &'static str,
    /// Widths of what is in between, and where it saturates.
    pub widths: &'static str,
    /// How constants and tables are made.
    pub tables: &'static str,
}

/// An operator's entry in the list.
pub struct Definition {
    /// Its name in the text form.
    pub name: &'static str,
    /// Its spellings in TensorFlow Lite.
    pub tflite: &'static [TfliteSpelling],
    /// Reads its attributes from the text form.
    pub parse: fn(&mut TextAttributes) -> Result<Arc<dyn Op>, Refusal>,
    /// Element types it computes, as the support table shows them.
    pub types: &'static [&'static str],
    /// Its rows of `docs/numerics.md`.
    pub numerics: &'static [Numerics],
}
