//! NEG: `-x`.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{NegF32, NegF32InPlace};

operator! {
    /// Input: `x` of any shape.
    Neg "neg" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Neg::NAME,
    tflite: &[TfliteSpelling { code: "NEG", versions: 1..=1, read: |_| Ok(Neg {}.into()) }],
    parse: Neg::parse,
    types: &["f32"],
    numerics: &[Numerics {
        types: "f32",
        rounding: "none",
        widths: "f32; NaN passes",
        tables: "none",
    }],
};

impl Operator for Neg {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        unary::infer(inputs, None)
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Neg {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::F32, DType::F32) => unary::evaluate(cx, |x: f32| -x),
            _ => Err(unary::refuse_types(input, output, "f32")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::F32, DType::F32) => {
                unary::lower_kernel(cx, NegF32 {}, NegF32InPlace {});
                Ok(())
            }
            _ => Err(unary::refuse_types(input, output, "f32")),
        }
    }
}
