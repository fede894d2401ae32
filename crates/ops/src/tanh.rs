//! TANH: the hyperbolic tangent.

use crate::eval::Evaluation;
use crate::gemmlowp::{self, Q4};
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::per_tensor;
use crate::reference::rounding_divide_by_pot;
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{TanhF32, TanhF32InPlace};

operator! {
    /// Input: `x` of any shape.
    Tanh "tanh" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Tanh::NAME,
    tflite: &[TfliteSpelling { code: "TANH", versions: 1..=3, read: |_| Ok(Tanh {}.into()) }],
    parse: Tanh::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8, output scale 1/128 and zero point 0",
            rounding: "the input's step to Q4.27 with two roundings, as a convolution's; the result half away from zero",
            widths: "Q4.27 in, Q0.31 out, products of 64 bits; saturated beyond ±15",
            tables: "256 entries, made from gemmlowp's fixed-point exponential and three Newton-Raphson steps",
        },
        Numerics {
            types: "f32",
            rounding: "each step to nearest even",
            widths: "f32; NaN passes",
            tables: "none: tanh is libm's, in plain Rust",
        },
    ],
};

/// The int8 function on raw quantized values.
fn function(input: &Tensor, output: &Tensor) -> Result<impl Fn(i32) -> i32 + use<>, Refusal> {
    let (output_scale, output_zero) = per_tensor(output, "the output")?;
    if output_scale != 1.0 / 128.0 || output_zero != 0 {
        return Err(Refusal::new(format!(
            "an output with scale {output_scale} and zero point {output_zero}"
        ))
        .help("TANH in int8 gives scale 1/128 (0.0078125) and zero point 0"));
    }
    let input = Q4::of(input)?;
    Ok(move |x| {
        input
            .apply(x, |value| rounding_divide_by_pot(gemmlowp::tanh(value, 4), 24).clamp(-128, 127))
    })
}

impl Operator for Tanh {
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

impl Op for Tanh {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => unary::evaluate_i8(cx, function(input, output)?),
            (DType::F32, DType::F32) => unary::evaluate(cx, |x: f32| f64::from(x).tanh() as f32),
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
                unary::lower_table(cx, unary::table(DType::I8, function(input, output)?));
                Ok(())
            }
            (DType::F32, DType::F32) => {
                unary::lower_kernel(cx, TanhF32 {}, TanhF32InPlace {});
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
    fn int8_is_the_rounded_function() {
        let input = tensor(DType::I8, &[1], Some((0.1, -20)));
        let output = tensor(DType::I8, &[1], Some((1.0 / 128.0, 0)));
        let function = function(&input, &output).unwrap();
        for x in -128..=127 {
            let real = f64::from(x + 20) * f64::from(0.1f32);
            let want = (128.0 * real.tanh()).round() as i32;
            assert!((function(x) - want.min(127)).abs() <= 1, "{x}");
        }
        assert_eq!(function(-20), 0);
    }

    #[test]
    fn huge_and_tiny_scales_are_computed() {
        let output = tensor(DType::I8, &[1], Some((1.0 / 128.0, 0)));
        let huge = tensor(DType::I8, &[1], Some((1e30, 0)));
        let huge = function(&huge, &output).unwrap();
        assert_eq!((huge(-1), huge(0), huge(1)), (-128, -128, 127));
        let tiny = tensor(DType::I8, &[1], Some((1e-30, 0)));
        let tiny = function(&tiny, &output).unwrap();
        assert_eq!((tiny(-128), tiny(0), tiny(127)), (0, 0, 0));
    }

    #[test]
    fn another_output_quantization_is_refused() {
        let input = tensor(DType::I8, &[1], Some((0.1, 0)));
        let output = tensor(DType::I8, &[1], Some((1.0 / 128.0, 3)));
        assert!(function(&input, &output).is_err());
    }
}
