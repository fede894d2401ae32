//! EXPAND_DIMS: adds an axis of length 1.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::movement::{self, constant_int};
use crate::op::{Cost, Definition, Op, Refusal, TfliteSpelling};
use kinglet_graph::{Attribute, InferError, Operator, Tensor, TensorType};

operator! {
    /// Inputs: `x`, constant `axis`: where the new axis stands in the output; a negative one counts
    /// from the back of the output.
    ExpandDims "expand_dims" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: ExpandDims::NAME,
    tflite: &[TfliteSpelling {
        code: "EXPAND_DIMS",
        versions: 1..=1,
        read: |_node| Ok(ExpandDims {}.into()),
    }],
    parse: ExpandDims::parse,
    types: movement::MOVED,
    numerics: movement::NUMERICS,
};

impl Operator for ExpandDims {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        let x = movement::input(inputs, 0, "x")?;
        let axis = constant_int(inputs.get(1).copied().flatten(), "the axis");
        let axis = axis.and_then(|axis| movement::axis(axis, x.shape().len() + 1));
        let axis = axis.map_err(|refusal| InferError(refusal.why))?;
        let mut shape = x.shape().to_vec();
        shape.insert(axis, 1);
        Ok(vec![TensorType::new(x.dtype(), shape)])
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for ExpandDims {
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
    use crate::movement::test::ints;
    use kinglet_graph::DType;

    #[test]
    fn the_axis_counts_in_the_output() {
        let x = Tensor::value("x", TensorType::new(DType::I16, [2, 3]));
        let shape = |axis: i32| {
            let types = ExpandDims {}.infer(&[Some(&x), Some(&ints(&[axis]))])?;
            Ok::<_, InferError>(types[0].shape.clone())
        };
        assert_eq!(shape(0).unwrap(), [1, 2, 3]);
        assert_eq!(shape(-1).unwrap(), [2, 3, 1]);
        assert_eq!(shape(-3).unwrap(), [1, 2, 3]);
        assert!(shape(3).is_err());
        assert!(ExpandDims {}.infer(&[Some(&x), Some(&x)]).is_err(), "not constant");
    }
}
