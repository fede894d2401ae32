//! SQUEEZE: takes away axes of length 1.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement;
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`.
    Squeeze "squeeze" {
        /// The axes to take away; none means all of length 1.
        axes: Vec<i64>,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Squeeze::NAME,
    tflite: &[TfliteSpelling {
        code: "SQUEEZE",
        versions: 1..=2,
        read: |node| Ok(Squeeze { axes: node.ints("squeeze_dims")? }.into()),
    }],
    parse: Squeeze::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

impl Operator for Squeeze {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let mut gone: Vec<bool> =
            x.shape().iter().map(|&dim| self.axes.is_empty() && dim == 1).collect();
        for &axis in &self.axes {
            let axis = movement::axis(axis, x.shape().len()).map_err(|r| InferError(r.why))?;
            if x.shape()[axis] != 1 {
                return Err(InferError(format!("axis {axis} of {} is not of length 1", x.ty)));
            }
            gone[axis] = true;
        }
        let left = x.shape().iter().zip(gone).filter(|(_, gone)| !gone).map(|(&dim, _)| dim);
        Ok(vec![TensorType::new(x.dtype(), left.collect::<Vec<_>>())])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Squeeze {
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
    use kinglet_graph::DType;

    #[test]
    fn axes_of_one_go() {
        let x = Tensor::value("x", TensorType::new(DType::F32, [1, 2, 1, 3]));
        let shape = |axes: &[i64]| {
            let types = Squeeze { axes: axes.to_vec() }.infer(&[Some(&x)])?;
            Ok::<_, InferError>(types[0].shape.clone())
        };
        assert_eq!(shape(&[]).unwrap(), [2, 3]);
        assert_eq!(shape(&[-2]).unwrap(), [1, 2, 3]);
        assert_eq!(shape(&[0, 0]).unwrap(), [2, 1, 3]);
        assert!(shape(&[1]).is_err());
        assert!(shape(&[4]).is_err());
    }
}
