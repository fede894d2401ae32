//! RELU and its relatives with two ends: RELU6, RELU_N1_TO_1, RELU_0_TO_1.

use crate::common::Activation;
use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::reference::{clamp_f32, multiply_by_quantized_multiplier};
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{ClampF32, ClampF32InPlace};

word_attribute! {
    /// The range of the output.
    Range {
        /// 0 and above.
        Relu "relu" "RELU",
        /// 0 to 6.
        Relu6 "relu6" "RELU6",
        /// -1 to 1.
        ReluN1To1 "relu_n1_to_1" "RELU_N1_TO_1",
        /// 0 to 1.
        Relu0To1 "relu_0_to_1" "RELU_0_TO_1",
    }
}

impl Range {
    /// Its ends.
    pub fn ends(self) -> (f32, f32) {
        match self {
            Range::Relu => (0.0, f32::INFINITY),
            Range::Relu6 => (0.0, 6.0),
            Range::ReluN1To1 => (-1.0, 1.0),
            Range::Relu0To1 => (0.0, 1.0),
        }
    }
}

operator! {
    /// Input: `x` of any shape.
    Relu "relu" {
        /// The range of the output, by the name of the activation.
        activation: Range,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Relu::NAME,
    tflite: &[
        TfliteSpelling {
            code: "RELU",
            versions: 1..=3,
            read: |_| Ok(Relu { activation: Range::Relu }.into()),
        },
        TfliteSpelling {
            code: "RELU6",
            versions: 1..=3,
            read: |_| Ok(Relu { activation: Range::Relu6 }.into()),
        },
        TfliteSpelling {
            code: "RELU_N1_TO_1",
            versions: 1..=1,
            read: |_| Ok(Relu { activation: Range::ReluN1To1 }.into()),
        },
        TfliteSpelling {
            code: "RELU_0_TO_1",
            versions: 1..=1,
            read: |_| Ok(Relu { activation: Range::Relu0To1 }.into()),
        },
    ],
    parse: Relu::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero; RELU6 keeps scale and zero point",
            widths: "products of 64 bits; saturated to the quantized ends of the range",
            tables: "256 entries; multiplier from the f64 quotient input scale / output scale; ends rounded half away from zero from the f32 quotient by the output scale",
        },
        Numerics {
            types: "f32",
            rounding: "none",
            widths: "f32; NaN and an infinity without an end pass",
            tables: "none",
        },
    ],
};

impl Relu {
    /// The int8 function on raw quantized values.
    fn function(
        &self,
        input: &Tensor,
        output: &Tensor,
    ) -> Result<impl Fn(i32) -> i32 + use<>, Refusal> {
        let (input_scale, input_zero) = per_tensor(input, "the input")?;
        let (output_scale, output_zero) = per_tensor(output, "the output")?;
        let same = input_scale == output_scale && input_zero == output_zero;
        // TensorFlow Lite Micro clamps RELU6 without looking at the output's quantization, which then
        // says something else than the values; LiteRT rescales. Neither answer is right for both.
        if self.activation == Range::Relu6 && !same {
            return Err(Refusal::new(format!(
                "RELU6 from scale {input_scale} and zero point {input_zero} to scale {output_scale} \
                 and zero point {output_zero}"
            ))
            .help("give input and output the same quantization, or fuse RELU6 into the operator before it"));
        }
        let (multiplier, shift) =
            quantize_multiplier(f64::from(input_scale) / f64::from(output_scale));
        let quantize = |real: f32| output_zero.saturating_add((real / output_scale).round() as i32);
        let (least, greatest) = self.activation.ends();
        let least = quantize(least).max(-128);
        let greatest = if greatest.is_infinite() { 127 } else { quantize(greatest).min(127) };
        Ok(move |x: i32| {
            let scaled =
                multiply_by_quantized_multiplier(x.wrapping_sub(input_zero), multiplier, shift);
            // Not `clamp`: with a zero point outside of the type the ends may cross.
            scaled.wrapping_add(output_zero).max(least).min(greatest)
        })
    }
}

impl Operator for Relu {
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

impl Op for Relu {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => unary::evaluate_i8(cx, self.function(input, output)?),
            (DType::F32, DType::F32) => {
                let (min, max) = self.activation.ends();
                unary::evaluate(cx, |x: f32| clamp_f32(x, min, max))
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
                let (min, max) = self.activation.ends();
                unary::lower_kernel(cx, ClampF32 { min, max }, ClampF32InPlace { min, max });
                Ok(())
            }
            _ => Err(unary::refuse_types(input, output, "i8 and f32")),
        }
    }

    fn as_activation(&self, input: &Tensor, output: &Tensor) -> Option<Activation> {
        let activation = match self.activation {
            Range::Relu => Activation::Relu,
            Range::Relu6 => Activation::Relu6,
            Range::ReluN1To1 => Activation::ReluN1To1,
            Range::Relu0To1 => return None,
        };
        let is_same = match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => {
                let function = self.function(input, output).ok()?;
                let (min, max) = activation.range_quantized(output).ok()?;
                (-128..128).all(|x| function(x) == x.max(min).min(max))
            }
            // Operators with a fused activation clamp to the finite range in any case.
            (DType::F32, DType::F32) => true,
            _ => false,
        };
        is_same.then_some(activation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unary::tests::tensor;

    #[test]
    fn int8_is_rescaled_and_clamped() {
        let input = tensor(DType::I8, &[1], Some((0.5, -2)));
        let output = tensor(DType::I8, &[1], Some((0.25, 3)));
        let function = Relu { activation: Range::ReluN1To1 }.function(&input, &output).unwrap();
        assert_eq!((function(-128), function(-3), function(-2), function(9)), (-1, 1, 3, 7));
        let function = Relu { activation: Range::Relu }.function(&input, &output).unwrap();
        assert_eq!((function(-128), function(-2), function(0), function(127)), (3, 3, 7, 127));
    }

    #[test]
    fn relu6_needs_one_quantization() {
        let input = tensor(DType::I8, &[1], Some((0.1, -20)));
        let other = tensor(DType::I8, &[1], Some((0.05, -20)));
        let relu6 = Relu { activation: Range::Relu6 };
        assert!(relu6.function(&input, &other).is_err());
        let function = relu6.function(&input, &input).unwrap();
        assert_eq!((function(-128), function(-4), function(127)), (-20, -4, 40));
    }
}
