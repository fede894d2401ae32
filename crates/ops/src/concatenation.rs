//! CONCATENATION: tensors one after the other along an axis.

use crate::eval::Evaluation;
use crate::lower::{Arg, Lower};
use crate::movement::{self, Move, element_bytes};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: one or more tensors that differ only along the axis.
    Concatenation "concatenation" {
        /// The axis; a negative one counts from the back.
        axis: i64,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Concatenation::NAME,
    tflite: &[TfliteSpelling {
        code: "CONCATENATION",
        versions: 1..=4,
        read: |node| {
            // Neither TensorFlow Lite nor TensorFlow Lite Micro has this operator with an activation.
            node.word("fused_activation_function", |word| (word == "NONE").then_some(()))?;
            Ok(Concatenation { axis: node.int("axis")? }.into())
        },
    }],
    parse: Concatenation::parse,
    types: movement::MOVED,
    numerics: &[Numerics {
        types: "all whose elements are whole bytes",
        rounding: "none: elements are moved as they are, also where an i8 or i16 input has another scale than the output, as TensorFlow Lite Micro does",
        widths: "none",
        tables: "none",
    }],
};

impl Concatenation {
    fn axis(&self, first: &Tensor) -> Result<usize, Refusal> {
        movement::axis(self.axis, first.shape().len())
    }
}

/// Refuses uint8 inputs whose scale is not the output's: TensorFlow Lite requantizes them, in f32.
fn check_scales<'a>(
    inputs: impl Iterator<Item = &'a Tensor>,
    output: &Tensor,
) -> Result<(), Refusal> {
    if output.dtype() != DType::U8 {
        return Ok(());
    }
    for input in inputs {
        if input.quantization != output.quantization {
            return Err(Refusal::new(format!(
                "the uint8 input \"{}\" has another scale or zero point than the output",
                input.name
            ))
            .help("put a QUANTIZE before it, or convert the model to int8"));
        }
    }
    Ok(())
}

impl Operator for Concatenation {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let first = movement::input(inputs, 0, "x")?;
        let axis = self.axis(first).map_err(|refusal| InferError(refusal.why))?;
        let mut shape = first.shape().to_vec();
        for index in 1..inputs.len() {
            let input = movement::input(inputs, index, "x")?;
            let fits = input.dtype() == first.dtype()
                && input.shape().len() == shape.len()
                && (0..shape.len()).all(|at| at == axis || input.shape()[at] == shape[at]);
            if !fits {
                return Err(InferError(format!(
                    "{} and {} cannot be joined along axis {axis}",
                    first.ty, input.ty
                )));
            }
            let length = shape[axis].checked_add(input.shape()[axis]);
            shape[axis] = length.ok_or("an output that is too long")?;
        }
        Ok(vec![TensorType::new(first.dtype(), shape)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Concatenation {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (first, output) = (cx.input(0)?, cx.output(0)?);
        let axis = self.axis(first)?;
        let size = element_bytes(output.dtype())?;
        check_scales((0..cx.input_count()).filter_map(|i| cx.optional_input(i)), output)?;
        let outer: usize = output.shape()[..axis].iter().product();
        let inner: usize = output.shape()[axis + 1..].iter().product();
        let mut y = Vec::with_capacity(output.ty.bytes());
        for block in 0..outer {
            for index in 0..cx.input_count() {
                let bytes = cx.input(index)?.shape()[axis] * inner * size;
                y.extend_from_slice(&cx.bytes(index)?[block * bytes..(block + 1) * bytes]);
            }
        }
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let output = cx.output(0)?;
        let axis = self.axis(cx.input(0)?)?;
        check_scales((0..cx.input_count()).filter_map(|i| cx.optional_input(i)), output)?;
        let strides = movement::strides(output.shape());
        let mut start = 0;
        for index in 0..cx.input_count() {
            let input = cx.input(index)?;
            if input.ty.len() == output.ty.len() {
                // All others are empty.
                cx.alias(0, index);
                return Ok(());
            }
            let input_strides = movement::signed_strides(input.shape())?;
            let part =
                Move::new(input.shape(), (0, &input_strides), (start * strides[axis], &strides));
            part.lower(cx, input.dtype(), Arg::Input(index), Arg::Output(0))?;
            start += input.shape()[axis];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_may_differ_along_the_axis_only() {
        let tensor = |dtype, shape: &[usize]| Tensor::value("x", TensorType::new(dtype, shape));
        let join = |axis: i64, inputs: &[Tensor]| {
            let inputs: Vec<_> = inputs.iter().map(Some).collect();
            Ok::<_, InferError>(Concatenation { axis }.infer(&inputs)?[0].shape.clone())
        };
        let (a, b) = (tensor(DType::I8, &[2, 3, 4]), tensor(DType::I8, &[2, 1, 4]));
        assert_eq!(join(-2, &[a.clone(), b.clone(), a.clone()]).unwrap(), [2, 7, 4]);
        assert_eq!(join(0, std::slice::from_ref(&a)).unwrap(), [2, 3, 4]);
        assert!(join(2, &[a.clone(), b.clone()]).is_err());
        assert!(join(3, std::slice::from_ref(&a)).is_err());
        assert!(join(1, &[a.clone(), tensor(DType::U8, &[2, 1, 4])]).is_err());
        assert!(join(1, &[a, tensor(DType::I8, &[2, 1, 4, 1])]).is_err());
        assert!(join(1, &[]).is_err());
    }
}
