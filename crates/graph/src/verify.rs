//! What every graph obeys. Importers verify what they made, and the pipeline verifies after each pass.
//!
//! Tensors
//!  1. A shape's bytes can be counted in a `usize`; free axes are axes of the shape, rising (`K0315`).
//!  2. Constants and start values are as long as their type says (`K0311`).
//!  3. Scales are finite and above zero. There is one scale and one zero point, or one of each for
//!     every index along the quantization's axis. A zero point of an integer tensor is a value of its
//!     element type (`K0312`).
//!
//! Ports
//!  4. Ports name tensors that exist (`K0310`).
//!  5. An input is a value, neither constant nor state, and an input only once (`K0313`).
//!  6. An output has a value when the last node has run (`K0208`).
//!
//! Nodes
//!  7. Nodes name tensors that exist (`K0310`).
//!  8. What a node reads is a constant, a state, an input, or written by an earlier node (`K0208`).
//!  9. What a node writes is a value that nobody else writes: one writer each, and no input (`K0208`).
//! 10. Where an operator assigns, there is a state variable (`K0314`).
//! 11. The types that follow from a node's operator and inputs are those of its outputs, as many as
//!     there are outputs (`K0204`).
//!
//! Rules 8 and 9 together say that nodes stand in an order in which they can run, so that there is no
//! cycle. Rule 11 is not tried on a node whose inputs break rules 1 to 3 or 7: operators may rely on
//! those. That no node is useless and no tensor unread is not a rule: passes see to it.

use crate::{DType, Graph, NodeId, Operator, Tensor, TensorId, TensorKind};
use kinglet_diag::{Code, Diagnostic, Failure, Place, code};

/// Checks every rule.
///
/// # Errors
/// All violations, in the order of the module's list within each tensor, port and node.
pub fn verify<O: ?Sized + Operator>(graph: &Graph<O>) -> Result<(), Failure> {
    let mut verifier = Verifier {
        graph,
        problems: Vec::new(),
        has_value: vec![false; graph.tensors.len()],
        is_sound: vec![false; graph.tensors.len()],
    };
    verifier.tensors();
    verifier.inputs();
    for id in graph.node_ids() {
        verifier.node(id);
    }
    verifier.outputs();
    if verifier.problems.is_empty() { Ok(()) } else { Err(Failure::new(verifier.problems)) }
}

struct Verifier<'g, O: ?Sized> {
    graph: &'g Graph<O>,
    problems: Vec<Diagnostic>,
    /// Whether a tensor has its value, as nodes run one after the other.
    has_value: Vec<bool>,
    /// Whether a tensor obeys rules 1 to 3.
    is_sound: Vec<bool>,
}

impl<O: ?Sized + Operator> Verifier<'_, O> {
    fn report(&mut self, code: Code, message: impl Into<String>, places: Vec<Place>, help: &str) {
        let mut diagnostic = Diagnostic::error(code, message).help(help);
        diagnostic.places = places;
        self.problems.push(diagnostic);
    }

    fn tensors(&mut self) {
        for (id, tensor) in self.graph.tensor_ids().zip(&self.graph.tensors) {
            let before = self.problems.len();
            self.size(id, tensor);
            self.quantization(id, tensor);
            let flags = self.is_sound.get_mut(id.index()).zip(self.has_value.get_mut(id.index()));
            if let Some((is_sound, has_value)) = flags {
                *is_sound = self.problems.len() == before;
                *has_value = tensor.kind != TensorKind::Value;
            }
        }
    }

    fn size(&mut self, id: TensorId, tensor: &Tensor) {
        let place = vec![self.graph.tensor_place(id)];
        let Some(bytes) = tensor.ty.checked_bytes() else {
            let message = format!("{} is larger than any memory", tensor.ty);
            let help = "convert the model with the shape you mean";
            return self.report(code::GRAPH_SIZE, message, place, help);
        };
        let is_rising = tensor.free_axes.windows(2).all(|pair| pair.first() < pair.last());
        let rank = tensor.ty.shape.len();
        if !is_rising || tensor.free_axes.last().is_some_and(|&axis| axis >= rank) {
            let message = format!("free axes {:?} of {}", tensor.free_axes, tensor.ty);
            let help = "name axes of the shape, in rising order";
            self.report(code::GRAPH_SIZE, message, place.clone(), help);
        }
        let (data, what) = match &tensor.kind {
            TensorKind::Value => return,
            TensorKind::Constant(data) => (data, "the data"),
            TensorKind::State(data) => (data, "the start value"),
        };
        let len = data.bytes().len();
        // Types without a fixed size bring their own lengths.
        if tensor.ty.dtype.bits() != 0 && len != bytes {
            let message = format!("{what} has {len} bytes, but {} has {bytes}", tensor.ty);
            let help = "convert the model again: data and shape contradict each other";
            self.report(code::GRAPH_DATA, message, place, help);
        }
    }

    fn quantization(&mut self, id: TensorId, tensor: &Tensor) {
        let Some(quantization) = &tensor.quantization else { return };
        let mut complain = |message: String| {
            let help = "convert the model again, with representative data for calibration";
            let place = vec![self.graph.tensor_place(id)];
            self.report(code::GRAPH_QUANTIZATION, message, place, help);
        };
        let (scales, zero_points) = (&quantization.scales, &quantization.zero_points);
        if let Some(scale) = scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0)) {
            complain(format!("the scale {scale:?} is not a finite number above zero"));
        }
        if zero_points.len() != scales.len() {
            complain(format!("{} scales with {} zero points", scales.len(), zero_points.len()));
        }
        let along = tensor.ty.shape.get(quantization.axis).copied();
        if scales.len() != 1 && along != Some(scales.len()) {
            complain(match along {
                Some(len) => format!(
                    "{} scales along axis {}, which has a length of {len}",
                    scales.len(),
                    quantization.axis
                ),
                None => format!("scales along axis {} of {}", quantization.axis, tensor.ty),
            });
        }
        if let Some((low, high)) = limits(tensor.ty.dtype)
            && let Some(zero) = zero_points.iter().find(|zero| !(low..=high).contains(*zero))
        {
            complain(format!("the zero point {zero} is not a value of {}", tensor.ty.dtype));
        }
    }

    fn inputs(&mut self) {
        for port in &self.graph.inputs {
            let place = vec![self.graph.tensor_place(port.tensor)];
            let Some(tensor) = self.graph.tensors.get(port.tensor.index()) else {
                self.missing(port.tensor, Place::Other(format!("input \"{}\"", port.name)));
                continue;
            };
            if tensor.kind != TensorKind::Value {
                let what =
                    if tensor.constant().is_some() { "a constant" } else { "a state variable" };
                let help = "only a tensor that nothing else writes can be an input";
                self.report(code::GRAPH_PORT, format!("an input is {what}"), place, help);
            } else if let Some(has_value) = self.has_value.get_mut(port.tensor.index())
                && std::mem::replace(has_value, true)
            {
                let help = "each input needs a tensor of its own";
                self.report(code::GRAPH_PORT, "a tensor is an input twice", place, help);
            }
        }
    }

    fn outputs(&mut self) {
        for port in &self.graph.outputs {
            match self.has_value.get(port.tensor.index()) {
                Some(true) => {}
                Some(false) => {
                    let place = vec![self.graph.tensor_place(port.tensor)];
                    let help = "an output must be written by a node";
                    self.report(code::ORDER, "no node writes this output", place, help);
                }
                None => {
                    self.missing(port.tensor, Place::Other(format!("output \"{}\"", port.name)));
                }
            }
        }
    }

    fn missing(&mut self, id: TensorId, place: Place) {
        let message = format!("there is no tensor {id}, there are {}", self.graph.tensors.len());
        let help = "the model is damaged: convert it again";
        self.report(code::GRAPH_ID, message, vec![place], help);
    }

    fn node(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        let place = || Place::Node(self.graph.node_label(id));
        let place = place();
        let mut is_sound = true;
        for input in node.inputs.iter().flatten().copied() {
            match self.has_value.get(input.index()) {
                Some(true) => {}
                Some(false) => {
                    let places = vec![place.clone(), self.graph.tensor_place(input)];
                    let help = "operators must stand in execution order; a cycle cannot be run";
                    let message = "a node reads a tensor that no earlier node writes";
                    self.report(code::ORDER, message, places, help);
                }
                None => self.missing(input, place.clone()),
            }
            is_sound &= self.is_sound.get(input.index()).copied().unwrap_or(false);
        }
        for &output in &node.outputs {
            match self.has_value.get_mut(output.index()) {
                Some(has_value) => {
                    if std::mem::replace(has_value, true) {
                        let places = vec![place.clone(), self.graph.tensor_place(output)];
                        let message = "a tensor is written twice, or is a constant, state or input";
                        let help = "each tensor is written by one node";
                        self.report(code::ORDER, message, places, help);
                    }
                }
                None => {
                    self.missing(output, place.clone());
                    is_sound = false;
                }
            }
        }
        self.assigned(id, &place);
        if is_sound {
            self.types(id, &place);
        }
    }

    fn assigned(&mut self, id: NodeId, place: &Place) {
        let node = self.graph.node(id);
        for &position in node.op.assigned_states() {
            let tensor = node.inputs.get(position).copied().flatten();
            let is_state = tensor
                .and_then(|tensor| self.graph.tensors.get(tensor.index()))
                .is_some_and(|tensor| matches!(tensor.kind, TensorKind::State(_)));
            if !is_state {
                let mut places = vec![place.clone()];
                places.extend(tensor.map(|tensor| self.graph.tensor_place(tensor)));
                let message = format!("input {position} is assigned to, but is no state variable");
                let help = "only state variables keep a value from one run to the next";
                self.report(code::GRAPH_STATE, message, places, help);
            }
        }
    }

    fn types(&mut self, id: NodeId, place: &Place) {
        let node = self.graph.node(id);
        let name = node.op.name();
        let inputs: Vec<_> = node.inputs.iter().map(|i| i.map(|t| self.graph.tensor(t))).collect();
        let help = "the file contradicts itself: convert the model again";
        let types = match node.op.infer(&inputs) {
            Ok(types) => types,
            Err(error) => {
                let message = format!("{name}: {error}");
                return self.report(code::SHAPE, message, vec![place.clone()], help);
            }
        };
        if types.len() != node.outputs.len() {
            let (there, expected) = (node.outputs.len(), types.len());
            let message = format!("{name} has {there} outputs, expected {expected}");
            return self.report(code::SHAPE, message, vec![place.clone()], help);
        }
        for (ty, &output) in types.iter().zip(&node.outputs) {
            let declared = &self.graph.tensor(output).ty;
            if declared != ty {
                let message = format!("the file says {declared}, but {name} gives {ty}");
                let places = vec![place.clone(), self.graph.tensor_place(output)];
                self.report(code::SHAPE, message, places, help);
            }
        }
    }
}

/// The least and greatest value of an integer type; those of `u64` are cut to what an `i64` holds.
fn limits(dtype: DType) -> Option<(i64, i64)> {
    let bits = u32::try_from(dtype.bits()).ok()?;
    match dtype {
        DType::I4 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => {
            Some((i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)))
        }
        DType::U8 | DType::U16 | DType::U32 => Some((0, (1 << bits) - 1)),
        DType::U64 => Some((0, i64::MAX)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
