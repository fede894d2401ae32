//! LEAKY_RELU: `x` above zero, `alpha * x` below.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::reference::multiply_by_quantized_multiplier;
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{LeakyReluF32, LeakyReluF32InPlace};

operator! {
    /// Input: `x` of any shape.
    LeakyRelu "leaky_relu" {
        /// Slope below zero; may be negative, or above 1.
        alpha: f32,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: LeakyRelu::NAME,
    tflite: &[TfliteSpelling {
        code: "LEAKY_RELU",
        versions: 1..=2,
        read: |node| Ok(LeakyRelu { alpha: node.float("alpha")? }.into()),
    }],
    parse: LeakyRelu::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "products of 64 bits; saturated to i8",
            tables: "256 entries; multipliers from the f64 quotients input scale / output scale and input scale x alpha / output scale",
        },
        Numerics {
            types: "f32",
            rounding: "the product to nearest even",
            widths: "f32; NaN passes",
            tables: "none",
        },
    ],
};

impl LeakyRelu {
    /// The int8 function on raw quantized values.
    fn function(
        &self,
        input: &Tensor,
        output: &Tensor,
    ) -> Result<impl Fn(i32) -> i32 + use<>, Refusal> {
        let (input_scale, input_zero) = per_tensor(input, "the input")?;
        let (output_scale, output_zero) = per_tensor(output, "the output")?;
        let (input_scale, output_scale) = (f64::from(input_scale), f64::from(output_scale));
        let above = quantize_multiplier(input_scale / output_scale);
        let below = quantize_multiplier(input_scale * f64::from(self.alpha) / output_scale);
        Ok(move |x: i32| {
            let x = x.wrapping_sub(input_zero);
            let (multiplier, shift) = if x >= 0 { above } else { below };
            let scaled = multiply_by_quantized_multiplier(x, multiplier, shift);
            scaled.wrapping_add(output_zero).clamp(-128, 127)
        })
    }
}

impl Operator for LeakyRelu {
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

impl Op for LeakyRelu {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => unary::evaluate_i8(cx, self.function(input, output)?),
            (DType::F32, DType::F32) => {
                unary::evaluate(cx, |x: f32| if x > 0.0 { x } else { x * self.alpha })
            }
            _ => Err(unary::refuse_types(input, output, "i8 and f32")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => {
                unary::lower_table(cx, unary::table(DType::I8, self.function(input, output)?));
                Ok(())
            }
            (DType::F32, DType::F32) => {
                let alpha = self.alpha;
                unary::lower_kernel(cx, LeakyReluF32 { alpha }, LeakyReluF32InPlace { alpha });
                Ok(())
            }
            _ => Err(unary::refuse_types(input, output, "i8 and f32")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unary::tests::tensor;

    #[test]
    fn int8_has_two_slopes() {
        let input = tensor(DType::I8, &[1], Some((0.5, -2)));
        let output = tensor(DType::I8, &[1], Some((0.25, 3)));
        let function = LeakyRelu { alpha: -0.5 }.function(&input, &output).unwrap();
        assert_eq!((function(-2), function(0), function(-4), function(127)), (3, 7, 5, 127));
    }
}
