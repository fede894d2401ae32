//! SLICE: a box of a tensor.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement::{self, Move, constant_ints, element_bytes};
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::reference;
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`, constant `begin`, constant `size`, of which a length of -1 takes what is left.
    Slice "slice" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Slice::NAME,
    tflite: &[TfliteSpelling { code: "SLICE", versions: 1..=6, read: |_node| Ok(Slice {}.into()) }],
    parse: Slice::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

/// Begin and length along each axis.
fn ranges(
    x: &Tensor,
    begin: Option<&Tensor>,
    size: Option<&Tensor>,
) -> Result<Vec<(usize, usize)>, Refusal> {
    let begin = constant_ints(begin, "the begin")?;
    let size = constant_ints(size, "the size")?;
    let rank = x.shape().len();
    if begin.len() != rank || size.len() != rank {
        let (begins, sizes) = (begin.len(), size.len());
        return Err(Refusal::new(format!("{begins} begins and {sizes} sizes for {}", x.ty)));
    }
    let range = |((&begin, &size), &length): ((&i64, &i64), &usize)| {
        let start = usize::try_from(begin).ok()?;
        let left = length.checked_sub(start)?;
        let size = if size == -1 { left } else { usize::try_from(size).ok()? };
        (size <= left).then_some((start, size))
    };
    let ranges: Option<Vec<_>> = begin.iter().zip(&size).zip(x.shape()).map(range).collect();
    ranges.ok_or_else(|| {
        Refusal::new(format!("{} has no part from {begin:?} with the size {size:?}", x.ty))
    })
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let parameter = |index: usize| inputs.get(index).copied().flatten();
        let ranges = ranges(x, parameter(1), parameter(2));
        let ranges = ranges.map_err(|refusal| InferError(refusal.why))?;
        let shape: Vec<_> = ranges.iter().map(|&(_, size)| size).collect();
        Ok(vec![TensorType::new(x.dtype(), shape)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Slice {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let ranges = ranges(x, cx.optional_input(1), cx.optional_input(2))?;
        let size = element_bytes(x.dtype())?;
        let y = reference::gather(x, cx.bytes(0)?, size, output.shape(), &[], |place| {
            Some(place.iter().zip(&ranges).map(|(at, (start, _))| at + start).collect())
        });
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (x, output) = (cx.input(0)?, cx.output(0)?);
        let ranges = ranges(x, cx.optional_input(1), cx.optional_input(2))?;
        let starts = ranges.iter().zip(movement::strides(x.shape()));
        let start = starts.map(|((start, _), stride)| start * stride).sum();
        let input_strides = movement::signed_strides(x.shape())?;
        let output_strides = movement::strides(output.shape());
        let part = Move::new(output.shape(), (start, &input_strides), (0, &output_strides));
        part.lower_or_alias(cx, (0, 0), x.ty.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    #[test]
    fn a_box_must_lie_inside() {
        let x = Tensor::value("x", TensorType::new(DType::I8, [4, 5]));
        let shape = |begin: &[i32], size: &[i32]| {
            let types = Slice {}.infer(&[Some(&x), Some(&ints(begin)), Some(&ints(size))])?;
            Ok::<_, InferError>(types[0].shape.clone())
        };
        assert_eq!(shape(&[1, 2], &[2, -1]).unwrap(), [2, 3]);
        assert_eq!(shape(&[4, 0], &[-1, 5]).unwrap(), [0, 5]);
        for (begin, size) in [
            (&[0, 0][..], &[5, 5][..]),
            (&[5, 0], &[-1, 5]),
            (&[-1, 0], &[1, 5]),
            (&[0, 0], &[-2, 5]),
            (&[0], &[1]),
        ] {
            assert!(shape(begin, size).is_err(), "{begin:?} {size:?}");
        }
    }
}
