//! A node of a TensorFlow Lite file, as an operator's spelling reads it.

use crate::op::Refusal;
use kinglet_diag::Failure;
use kinglet_formats::tflite::Attributes;
use kinglet_graph::Tensor;
use std::sync::Arc;

use crate::Op;

/// What a node of a TensorFlow Lite file is to a graph.
pub enum Reading {
    /// A node of the graph.
    Node(Arc<dyn Op>),
    /// A node of the graph whose first input is a handle: the state variable itself takes its place.
    Variable(Arc<dyn Op>),
    /// No node: its output stands for the state variable with this name.
    Handle {
        /// The variable's container and name, as one text.
        name: String,
    },
    /// No node: this subgraph runs once, before the first run, and gives state its start values.
    Once {
        /// The subgraph's index in the file.
        subgraph: usize,
    },
}

impl<O: Op + 'static> From<O> for Reading {
    fn from(op: O) -> Self {
        Reading::Node(Arc::new(op))
    }
}

fn refuse(failure: Failure) -> Refusal {
    let first = failure.first();
    Refusal { why: first.message.clone(), help: first.help.clone() }
}

/// A node of a TensorFlow Lite file. Each attribute that is read is marked; the importer makes an
/// error of every one nobody read.
pub struct TfliteNode<'a> {
    /// The operator's version in the file.
    pub version: i32,
    /// The builtin options.
    pub attributes: &'a Attributes<'a>,
    /// The custom operator's options.
    pub custom_options: Option<&'a [u8]>,
    /// Input tensors.
    pub inputs: Vec<Option<&'a Tensor>>,
    /// Output tensors.
    pub outputs: Vec<&'a Tensor>,
}

impl TfliteNode<'_> {
    /// A whole number that is not negative.
    pub fn size(&self, name: &str) -> Result<usize, Refusal> {
        let value = self.int(name)?;
        usize::try_from(value)
            .map_err(|_| Refusal::new(format!("the attribute {name} = {value} is negative")))
    }

    /// A whole number above zero: a stride, a dilation.
    pub fn positive(&self, name: &str) -> Result<usize, Refusal> {
        match self.size(name)? {
            0 => Err(Refusal::new(format!("the attribute {name} is 0, expected 1 or more"))),
            value => Ok(value),
        }
    }

    /// A whole number.
    pub fn int(&self, name: &str) -> Result<i64, Refusal> {
        self.attributes.int(name).map_err(refuse)
    }

    /// A number.
    pub fn float(&self, name: &str) -> Result<f32, Refusal> {
        self.attributes.float(name).map_err(refuse)
    }

    /// True or false.
    pub fn bool(&self, name: &str) -> Result<bool, Refusal> {
        self.attributes.bool(name).map_err(refuse)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<String, Refusal> {
        self.attributes.text(name).map(str::to_owned).map_err(refuse)
    }

    /// A list of whole numbers.
    pub fn ints(&self, name: &str) -> Result<Vec<i64>, Refusal> {
        self.attributes.ints(name).map(<[i64]>::to_vec).map_err(refuse)
    }

    /// One of a few words.
    pub fn word<T>(&self, name: &str, read: fn(&str) -> Option<T>) -> Result<T, Refusal> {
        let word = self.attributes.enum_name(name);
        let word = word.map_err(refuse)?;
        read(word)
            .ok_or_else(|| Refusal::new(format!("the attribute {name} = {word} is not supported")))
    }

    /// Marks an attribute as read whose value changes nothing here; the caller says why in a comment.
    pub fn ignore(&self, name: &str) -> Result<(), Refusal> {
        self.attributes.value(name).map(|_| ()).map_err(refuse)
    }
}
