//! What a model means: tensors, nodes and the operators on them.
//!
//! A [`Graph`] knows no target and no file format. Nothing points at anything: tensors and nodes are
//! found by [`TensorId`] and [`NodeId`], printed as `t3` and `n3` in the text form. The graph is
//! generic over its operator type, so that this crate knows of operators only what [`Operator`] says;
//! the crate `ops` puts its own, larger trait in that place.

mod operator;
mod tensor;
#[cfg(test)]
mod testing;
pub mod text;
pub mod verify;

pub use operator::{Attribute, InferError, Operator};
pub use tensor::{DType, Data, Quantization, Tensor, TensorKind, TensorType};

use kinglet_diag::Place;
use std::fmt;
use std::sync::Arc;

macro_rules! ids {
    ($($(#[$doc:meta])* $Id:ident $letter:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $Id(u32);

        impl $Id {
            /// The id with this index.
            pub fn new(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }

            /// Its index.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $Id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($letter, "{}"), self.0)
            }
        }
    )* };
}

ids! {
    /// Names a tensor of a graph.
    TensorId "t";
    /// Names a node of a graph.
    NodeId "n";
}

/// One use of an operator.
#[derive(Debug)]
pub struct Node<O: ?Sized> {
    /// The operator with its attributes.
    pub op: Arc<O>,
    /// Input tensors in the operator's order; `None` where an optional input is absent.
    pub inputs: Vec<Option<TensorId>>,
    /// Output tensors in the operator's order.
    pub outputs: Vec<TensorId>,
    /// The file's name for the node, or the name of its first output.
    pub name: String,
    /// The index in the file, where the node came from one.
    pub origin: Option<u32>,
}

impl<O: ?Sized> Clone for Node<O> {
    fn clone(&self) -> Self {
        Self {
            op: Arc::clone(&self.op),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            name: self.name.clone(),
            origin: self.origin,
        }
    }
}

/// A model's input or output as its callers name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name in the model's signature, else the tensor's name.
    pub name: String,
    /// The tensor.
    pub tensor: TensorId,
    /// Labels of the classes along the last axis, where the model carries them.
    pub labels: Vec<String>,
}

/// A model.
#[derive(Debug)]
pub struct Graph<O: ?Sized> {
    /// The model's name, or empty.
    pub name: String,
    /// What the model says of itself, or empty.
    pub description: String,
    /// All tensors: values, constants and state variables.
    pub tensors: Vec<Tensor>,
    /// All nodes, in an order in which they can run: it also says which reads of a state variable
    /// come before which assignments.
    pub nodes: Vec<Node<O>>,
    /// Inputs in the model's order.
    pub inputs: Vec<Port>,
    /// Outputs in the model's order.
    pub outputs: Vec<Port>,
}

impl<O: ?Sized> Clone for Graph<O> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            description: self.description.clone(),
            tensors: self.tensors.clone(),
            nodes: self.nodes.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        }
    }
}

impl<O: ?Sized> Default for Graph<O> {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        }
    }
}

impl<O: ?Sized> Graph<O> {
    /// Adds a tensor.
    pub fn add_tensor(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        TensorId::new(self.tensors.len() - 1)
    }

    /// The tensor with this id. Ids of a verified graph always name one.
    ///
    /// # Panics
    /// When the id names none: a bug of the caller, not of the model.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// As [`Graph::tensor`], to change it.
    ///
    /// # Panics
    /// When the id names none.
    pub fn tensor_mut(&mut self, id: TensorId) -> &mut Tensor {
        &mut self.tensors[id.index()]
    }

    /// The node with this id.
    ///
    /// # Panics
    /// When the id names none.
    pub fn node(&self, id: NodeId) -> &Node<O> {
        &self.nodes[id.index()]
    }

    /// All tensor ids, in order.
    pub fn tensor_ids(&self) -> impl Iterator<Item = TensorId> + use<O> {
        (0..self.tensors.len()).map(TensorId::new)
    }

    /// All node ids, in order.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> + use<O> {
        (0..self.nodes.len()).map(NodeId::new)
    }

    /// For each tensor, the nodes that read it, in order; a node that reads it twice is there twice.
    pub fn readers(&self) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); self.tensors.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().flatten() {
                if let Some(list) = readers.get_mut(input.index()) {
                    list.push(NodeId::new(index));
                }
            }
        }
        readers
    }

    /// For each tensor, the node that writes it.
    pub fn writers(&self) -> Vec<Option<NodeId>> {
        let mut writers = vec![None; self.tensors.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for output in &node.outputs {
                if let Some(writer) = writers.get_mut(output.index()) {
                    *writer = Some(NodeId::new(index));
                }
            }
        }
        writers
    }

    /// The constant's data, or `None` when the tensor is not a constant.
    pub fn constant(&self, id: TensorId) -> Option<&Data> {
        self.tensor(id).constant()
    }

    /// The state variables, in order.
    pub fn states(&self) -> impl Iterator<Item = TensorId> + '_ {
        self.tensor_ids().filter(|&id| matches!(self.tensor(id).kind, TensorKind::State(_)))
    }
}

impl<O: ?Sized> Graph<O> {
    /// How diagnostics name a tensor: its index in the file, else its own, and its name.
    pub fn tensor_place(&self, id: TensorId) -> Place {
        let tensor = self.tensors.get(id.index());
        let index =
            tensor.and_then(|tensor| tensor.origin).map_or(id.index(), |origin| origin as usize);
        Place::Tensor(format!("{index} \"{}\"", tensor.map_or("", |tensor| &tensor.name)))
    }
}

impl<O: ?Sized + Operator> Graph<O> {
    /// How diagnostics name a node: `3 conv2d "model/conv1"`. A graph without nodes still has its
    /// outputs written, by node 0.
    pub fn node_label(&self, id: NodeId) -> String {
        let Some(node) = self.nodes.get(id.index()) else { return id.index().to_string() };
        let index = node.origin.map_or(id.index(), |origin| origin as usize);
        format!("{index} {} \"{}\"", node.op.name(), node.name)
    }
}
