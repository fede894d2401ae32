//! Running one operator by its reference meaning.

use crate::op::Refusal;
use kinglet_graph::Tensor;

/// An element type that values are read and written as.
pub trait Scalar: bytemuck::Pod {}
impl<T: bytemuck::Pod> Scalar for T {}

/// Copies little-endian bytes into elements; a last incomplete element is left out.
pub fn elements<T: Scalar>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>().max(1)).map(bytemuck::pod_read_unaligned).collect()
}

/// What an evaluation left: the outputs' bytes, and the new values of state variables by input
/// position.
pub type Finished = (Vec<Vec<u8>>, Vec<(usize, Vec<u8>)>);

/// One evaluation of a node: inputs with their values, and room for the outputs.
pub struct Evaluation<'a> {
    inputs: Vec<Option<(&'a Tensor, &'a [u8])>>,
    outputs: Vec<(&'a Tensor, Vec<u8>)>,
    states: Vec<(usize, Vec<u8>)>,
}

impl<'a> Evaluation<'a> {
    /// An evaluation of a node with these inputs and output tensors.
    pub fn new(inputs: Vec<Option<(&'a Tensor, &'a [u8])>>, outputs: Vec<&'a Tensor>) -> Self {
        let outputs = outputs.into_iter().map(|tensor| (tensor, Vec::new())).collect();
        Self { inputs, outputs, states: Vec::new() }
    }

    /// How many inputs there are, absent ones included.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// The input tensor at this position, if it is there.
    pub fn optional_input(&self, index: usize) -> Option<&'a Tensor> {
        self.inputs.get(index).copied().flatten().map(|(tensor, _)| tensor)
    }

    /// The input tensor at this position.
    pub fn input(&self, index: usize) -> Result<&'a Tensor, Refusal> {
        self.optional_input(index).ok_or_else(|| Refusal::new(format!("input {index} is missing")))
    }

    /// The output tensor at this position.
    pub fn output(&self, index: usize) -> Result<&'a Tensor, Refusal> {
        let output = self.outputs.get(index).map(|(tensor, _)| *tensor);
        output.ok_or_else(|| Refusal::new(format!("output {index} is missing")))
    }

    /// The bytes of an input.
    pub fn bytes(&self, index: usize) -> Result<&'a [u8], Refusal> {
        let input = self.inputs.get(index).copied().flatten();
        input
            .map(|(_, bytes)| bytes)
            .ok_or_else(|| Refusal::new(format!("input {index} is missing")))
    }

    /// The elements of an input, read as `T`; the caller has looked at the tensor's type.
    pub fn values<T: Scalar>(&self, index: usize) -> Result<Vec<T>, Refusal> {
        Ok(elements(self.bytes(index)?))
    }

    /// Gives an output its value.
    pub fn set<T: Scalar>(&mut self, index: usize, values: &[T]) -> Result<(), Refusal> {
        match self.outputs.get_mut(index) {
            Some((_, bytes)) => {
                bytes.clear();
                bytes.extend_from_slice(bytemuck::cast_slice(values));
                Ok(())
            }
            None => Err(Refusal::new(format!("output {index} is missing"))),
        }
    }

    /// Gives the state variable at this input position its new value.
    pub fn assign(&mut self, input: usize, bytes: &[u8]) {
        self.states.push((input, bytes.to_vec()));
    }

    /// The outputs' bytes, and the new values of state variables by input position.
    pub fn finish(self) -> Finished {
        (self.outputs.into_iter().map(|(_, bytes)| bytes).collect(), self.states)
    }
}
