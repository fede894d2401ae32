//! RESHAPE: the same elements under another shape.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement::{self, constant_ints};
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use crate::tflite::TfliteNode;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`, optionally the shape as the file had it; what counts is the attribute.
    Reshape "reshape" {
        /// The new lengths; one may be -1 and takes what is left.
        shape: Vec<i64>,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Reshape::NAME,
    tflite: &[TfliteSpelling {
        code: "RESHAPE",
        versions: 1..=1,
        read: |node| Ok(Reshape { shape: file_shape(node)? }.into()),
    }],
    parse: Reshape::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

/// The shape a file gives: a constant shape tensor, else the attribute, else the shape of the output,
/// which is what TensorFlow Lite Micro takes in every case.
fn file_shape(node: &TfliteNode<'_>) -> Result<Vec<i64>, Refusal> {
    let attribute = node.ints("new_shape")?;
    let shape = node.inputs.get(1).copied().flatten();
    if let Some(shape) = shape {
        let is_vector = shape.shape().len() == 1 && shape.dtype() == DType::I32;
        if is_vector && shape.constant().is_some() {
            return constant_ints(Some(shape), "the shape");
        }
    } else if attribute == [0] {
        // Old files say so of a scalar.
        return Ok(Vec::new());
    } else if !attribute.is_empty() {
        return Ok(attribute);
    }
    let output = node.outputs.first().ok_or("the output is missing")?;
    output
        .shape()
        .iter()
        .map(|&dim| i64::try_from(dim).map_err(|_| "a length is too large".into()))
        .collect()
}

impl Reshape {
    fn resolve(&self, x: &Tensor) -> Result<Vec<usize>, InferError> {
        let len = x.ty.len();
        let refused = || InferError(format!("{} cannot take the shape {:?}", x.ty, self.shape));
        let mut free = None;
        let mut known = 1usize;
        let mut shape = Vec::with_capacity(self.shape.len());
        for (axis, &dim) in self.shape.iter().enumerate() {
            if dim == -1 && free.is_none() {
                free = Some(axis);
                shape.push(1);
                continue;
            }
            let dim = usize::try_from(dim).map_err(|_| refused())?;
            known = known.checked_mul(dim).ok_or_else(refused)?;
            shape.push(dim);
        }
        if let Some(axis) = free {
            let left = len.checked_div(known).ok_or_else(refused)?;
            known = known.checked_mul(left).ok_or_else(refused)?;
            shape[axis] = left;
        }
        if known == len { Ok(shape) } else { Err(refused()) }
    }
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        Ok(vec![TensorType::new(x.dtype(), self.resolve(x)?)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Reshape {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let bytes = cx.bytes(0)?;
        cx.set(0, bytes)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], _outputs: &[&Tensor]) -> Cost {
        Cost::default()
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        cx.alias(0, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(x: &[usize], shape: &[i64]) -> Result<Vec<usize>, InferError> {
        let x = Tensor::value("x", TensorType::new(DType::I8, x));
        let types = Reshape { shape: shape.to_vec() }.infer(&[Some(&x), None])?;
        Ok(types[0].shape.clone())
    }

    #[test]
    fn one_length_may_be_left_open() {
        assert_eq!(shape(&[2, 3, 4], &[-1, 4]).unwrap(), [6, 4]);
        assert_eq!(shape(&[2, 3, 4], &[24]).unwrap(), [24]);
        assert_eq!(shape(&[1, 1], &[]).unwrap(), Vec::<usize>::new());
        assert_eq!(shape(&[0, 3], &[-1, 3]).unwrap(), [0, 3]);
    }

    #[test]
    fn a_shape_of_another_length_is_refused() {
        for wrong in [&[5, 5][..], &[-1, -1], &[-1, 7], &[-1, 0], &[-2, 12], &[i64::MAX, i64::MAX]]
        {
            assert!(shape(&[2, 3, 4], wrong).is_err(), "{wrong:?}");
        }
    }
}
