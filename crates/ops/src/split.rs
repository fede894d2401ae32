//! SPLIT: a tensor cut along an axis into equal parts.

use crate::eval::Evaluation;
use crate::lower::{Arg, Lower};
use crate::movement::{self, Move, constant_int, constant_ints, element_bytes};
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: constant `axis`, `x`. Outputs: parts of equal length.
    Split "split" {
        /// Number of parts.
        num_splits: usize,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Split::NAME,
    tflite: &[TfliteSpelling {
        code: "SPLIT",
        versions: 1..=4,
        read: |node| Ok(Split { num_splits: node.positive("num_splits")? }.into()),
    }],
    parse: Split::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

/// How a tensor is cut.
pub(crate) struct Cut {
    axis: usize,
    lengths: Vec<usize>,
}

impl Cut {
    /// The lengths along the axis, one of which may be -1 and takes what is left.
    pub(crate) fn of_lengths(
        x: &Tensor,
        lengths: Option<&Tensor>,
        axis: Option<&Tensor>,
    ) -> Result<Self, Refusal> {
        let axis = movement::axis(constant_int(axis, "the axis")?, x.shape().len())?;
        let values = constant_ints(lengths, "the lengths of the parts")?;
        let refused = || {
            Refusal::new(format!(
                "{} cannot be cut into parts of {values:?} along axis {axis}",
                x.ty
            ))
        };
        let mut left = x.shape()[axis];
        let mut open = None;
        let mut lengths = Vec::with_capacity(values.len());
        for (part, &value) in values.iter().enumerate() {
            if value == -1 && open.is_none() {
                open = Some(part);
                lengths.push(0);
                continue;
            }
            let length = usize::try_from(value).map_err(|_| refused())?;
            left = left.checked_sub(length).ok_or_else(refused)?;
            lengths.push(length);
        }
        match open {
            Some(part) => lengths[part] = left,
            None if left > 0 => return Err(refused()),
            None => {}
        }
        Ok(Self { axis, lengths })
    }

    pub(crate) fn types(&self, x: &Tensor) -> Vec<TensorType> {
        let part = |&length: &usize| {
            let mut shape = x.shape().to_vec();
            shape[self.axis] = length;
            TensorType::new(x.dtype(), shape)
        };
        self.lengths.iter().map(part).collect()
    }

    pub(crate) fn evaluate(&self, cx: &mut Evaluation<'_>, input: usize) -> Result<(), Refusal> {
        let (x, bytes) = (cx.input(input)?, cx.bytes(input)?);
        let inner: usize = x.shape()[self.axis + 1..].iter().product();
        let inner = inner * element_bytes(x.dtype())?;
        let mut parts = vec![Vec::new(); self.lengths.len()];
        let mut rest = bytes;
        while !rest.is_empty() {
            for (part, &length) in parts.iter_mut().zip(&self.lengths) {
                let (taken, left) = rest.split_at(length * inner);
                part.extend_from_slice(taken);
                rest = left;
            }
        }
        for (index, part) in parts.iter().enumerate() {
            cx.set(index, part)?;
        }
        Ok(())
    }

    pub(crate) fn lower(&self, cx: &mut Lower<'_>, input: usize) -> Result<(), Refusal> {
        let x = cx.input(input)?;
        let strides = movement::signed_strides(x.shape())?;
        let step = movement::strides(x.shape())[self.axis];
        let mut start = 0;
        for (index, &length) in self.lengths.iter().enumerate() {
            if length == x.shape()[self.axis] {
                cx.alias(index, input);
                continue;
            }
            let output = cx.output(index)?;
            let output_strides = movement::strides(output.shape());
            let part = Move::new(output.shape(), (start * step, &strides), (0, &output_strides));
            part.lower(cx, x.dtype(), Arg::Input(input), Arg::Output(index))?;
            start += length;
        }
        Ok(())
    }
}

impl Split {
    fn cut(&self, x: &Tensor, axis: Option<&Tensor>) -> Result<Cut, Refusal> {
        let axis = movement::axis(constant_int(axis, "the axis")?, x.shape().len())?;
        let length = x.shape()[axis];
        // No file has more outputs than this, and the number is not to be trusted with memory.
        if !(1..=0xffff).contains(&self.num_splits) || !length.is_multiple_of(self.num_splits) {
            let parts = self.num_splits;
            return Err(Refusal::new(format!(
                "{} cannot be cut into {parts} equal parts along axis {axis}",
                x.ty
            )));
        }
        Ok(Cut { axis, lengths: vec![length / self.num_splits; self.num_splits] })
    }
}

impl Operator for Split {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 1, "x")?;
        let cut = self.cut(x, inputs.first().copied().flatten());
        Ok(cut.map_err(|refusal| InferError(refusal.why))?.types(x))
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Split {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        self.cut(cx.input(1)?, cx.optional_input(0))?.evaluate(cx, 1)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        self.cut(cx.input(1)?, cx.optional_input(0))?.lower(cx, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    fn x() -> Tensor {
        Tensor::value("x", TensorType::new(DType::I8, [2, 6, 4]))
    }

    #[test]
    fn parts_are_equal() {
        let shapes = |num_splits: usize, axis: i32| {
            let types = Split { num_splits }.infer(&[Some(&ints(&[axis])), Some(&x())])?;
            Ok::<_, InferError>(types.into_iter().map(|ty| ty.shape).collect::<Vec<_>>())
        };
        assert_eq!(shapes(3, 1).unwrap(), vec![vec![2, 2, 4]; 3]);
        assert_eq!(shapes(1, -1).unwrap(), [[2, 6, 4]]);
        for (parts, axis) in [(4, 1), (0, 1), (3, 3), (usize::MAX, 1)] {
            assert!(shapes(parts, axis).is_err(), "{parts} {axis}");
        }
        let empty = Tensor::value("x", TensorType::new(DType::I8, [0]));
        let many = Split { num_splits: 1 << 40 };
        assert!(many.infer(&[Some(&ints(&[0])), Some(&empty)]).is_err());
    }

    #[test]
    fn lengths_must_add_up() {
        let lengths = |lengths: &[i32]| {
            Cut::of_lengths(&x(), Some(&ints(lengths)), Some(&ints(&[1]))).map(|cut| cut.lengths)
        };
        assert_eq!(lengths(&[1, 2, 3]).unwrap(), [1, 2, 3]);
        assert_eq!(lengths(&[1, -1, 3]).unwrap(), [1, 2, 3]);
        assert_eq!(lengths(&[6, -1]).unwrap(), [6, 0]);
        for wrong in [&[1, 2][..], &[7], &[-1, -1], &[7, -1], &[-2, 8]] {
            assert!(lengths(wrong).is_err(), "{wrong:?}");
        }
    }
}
