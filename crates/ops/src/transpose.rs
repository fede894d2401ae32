//! TRANSPOSE: the axes in another order.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement::{self, Move, constant_ints, element_bytes};
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::reference;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`, constant `permutation`: for each axis of the output, the axis of `x` it is.
    Transpose "transpose" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Transpose::NAME,
    tflite: &[TfliteSpelling {
        code: "TRANSPOSE",
        versions: 1..=6,
        read: |_node| Ok(Transpose {}.into()),
    }],
    parse: Transpose::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

/// For each axis of the output, the axis of `x` it is.
fn permutation(x: &Tensor, permutation: Option<&Tensor>) -> Result<Vec<usize>, Refusal> {
    let values = constant_ints(permutation, "the permutation")?;
    let rank = x.shape().len();
    let mut seen = vec![false; rank];
    let axes: Option<Vec<usize>> = values
        .iter()
        .map(|&value| {
            let axis = usize::try_from(value).ok()?;
            let first = seen.get_mut(axis).is_some_and(|seen| !std::mem::replace(seen, true));
            first.then_some(axis)
        })
        .collect();
    axes.filter(|axes| axes.len() == rank)
        .ok_or_else(|| Refusal::new(format!("{values:?} is not an order of the axes of {}", x.ty)))
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let order = permutation(x, inputs.get(1).copied().flatten());
        let order = order.map_err(|refusal| InferError(refusal.why))?;
        let shape: Vec<_> = order.iter().map(|&axis| x.shape()[axis]).collect();
        Ok(vec![TensorType::new(x.dtype(), shape)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Transpose {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let order = permutation(x, cx.optional_input(1))?;
        let size = element_bytes(x.dtype())?;
        let y = reference::gather(x, cx.bytes(0)?, size, output.shape(), &[], |place| {
            let mut from = vec![0; place.len()];
            for (&axis, &at) in order.iter().zip(place) {
                from[axis] = at;
            }
            Some(from)
        });
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let order = permutation(x, cx.optional_input(1))?;
        let strides = movement::signed_strides(x.shape())?;
        let input_strides: Vec<_> = order.iter().map(|&axis| strides[axis]).collect();
        let output_strides = movement::strides(output.shape());
        let turn = Move::new(output.shape(), (0, &input_strides), (0, &output_strides));
        turn.lower_or_alias(cx, (0, 0), x.ty.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    #[test]
    fn only_an_order_of_all_axes_will_do() {
        let x = Tensor::value("x", TensorType::new(DType::I8, [2, 3, 4]));
        let shape = |order: &[i32]| {
            let types = Transpose {}.infer(&[Some(&x), Some(&ints(order))])?;
            Ok::<_, InferError>(types[0].shape.clone())
        };
        assert_eq!(shape(&[2, 0, 1]).unwrap(), [4, 2, 3]);
        for wrong in [&[0, 1][..], &[0, 1, 1], &[0, 1, 3], &[0, 1, -1], &[0, 1, 2, 3]] {
            assert!(shape(wrong).is_err(), "{wrong:?}");
        }
    }
}
