//! LOGISTIC: `1 / (1 + exp(-x))`.

use crate::eval::Evaluation;
use crate::gemmlowp::{self, Q4};
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::per_tensor;
use crate::reference::rounding_divide_by_pot;
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{LogisticF32, LogisticF32InPlace};

operator! {
    /// Input: `x` of any shape.
    Logistic "logistic" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Logistic::NAME,
    tflite: &[TfliteSpelling {
        code: "LOGISTIC",
        versions: 1..=3,
        read: |_| Ok(Logistic {}.into()),
    }],
    parse: Logistic::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8, output scale 1/256 and zero point -128",
            rounding: "the input's step to Q4.27 with two roundings, as a convolution's; the result half away from zero",
            widths: "Q4.27 in, Q0.31 out, products of 64 bits; saturated beyond ±15",
            tables: "256 entries, made from gemmlowp's fixed-point exponential and three Newton-Raphson steps",
        },
        Numerics {
            types: "f32",
            rounding: "each step to nearest even",
            widths: "f32; exactly 1 above 16.619, exp(x) below -9; NaN passes",
            tables: "none: exp is libm's, in plain Rust",
        },
    ],
};

/// The int8 function on raw quantized values.
fn function(input: &Tensor, output: &Tensor) -> Result<impl Fn(i32) -> i32 + use<>, Refusal> {
    let (output_scale, output_zero) = per_tensor(output, "the output")?;
    if output_scale != 1.0 / 256.0 || output_zero != -128 {
        return Err(Refusal::new(format!(
            "an output with scale {output_scale} and zero point {output_zero}"
        ))
        .help("LOGISTIC in int8 gives scale 1/256 (0.00390625) and zero point -128"));
    }
    let input = Q4::of(input)?;
    Ok(move |x| {
        input.apply(x, |value| {
            (rounding_divide_by_pot(gemmlowp::logistic(value, 4), 23) - 128).clamp(-128, 127)
        })
    })
}

impl Operator for Logistic {
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

impl Op for Logistic {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => unary::evaluate_i8(cx, function(input, output)?),
            (DType::F32, DType::F32) => unary::evaluate(cx, |x: f32| {
                let wide = f64::from(x);
                // The reference's cases, which the closed form cannot show in f32.
                if x < -9.0 { wide.exp() as f32 } else { (1.0 / (1.0 + (-wide).exp())) as f32 }
            }),
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
                unary::lower_kernel(cx, LogisticF32 {}, LogisticF32InPlace {});
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
        let output = tensor(DType::I8, &[1], Some((1.0 / 256.0, -128)));
        let function = function(&input, &output).unwrap();
        for x in -128..=127 {
            let real = f64::from(x + 20) * f64::from(0.1f32);
            let want = (256.0 / (1.0 + (-real).exp())).round() as i32 - 128;
            assert!((function(x) - want.min(127)).abs() <= 1, "{x}");
        }
        assert_eq!(function(-20), 0);
    }

    #[test]
    fn huge_and_tiny_scales_are_computed() {
        let output = tensor(DType::I8, &[1], Some((1.0 / 256.0, -128)));
        let huge = tensor(DType::I8, &[1], Some((1e30, 0)));
        let huge = function(&huge, &output).unwrap();
        assert_eq!((huge(-1), huge(0), huge(1)), (-128, -128, 127));
        let tiny = tensor(DType::I8, &[1], Some((1e-30, 0)));
        let tiny = function(&tiny, &output).unwrap();
        assert_eq!((tiny(-128), tiny(0), tiny(127)), (0, 0, 0));
    }

    #[test]
    fn another_output_scale_is_refused() {
        let input = tensor(DType::I8, &[1], Some((0.1, 0)));
        let output = tensor(DType::I8, &[1], Some((0.01, -128)));
        assert!(function(&input, &output).is_err());
    }
}
