//! HARD_SWISH: `x * clamp(x + 3, 0, 6) / 6`.

use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{HardSwishF32, HardSwishF32InPlace};

operator! {
    /// Input: `x` of any shape.
    HardSwish "hard_swish" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: HardSwish::NAME,
    tflite: &[TfliteSpelling {
        code: "HARD_SWISH",
        versions: 1..=1,
        read: |_| Ok(HardSwish {}.into()),
    }],
    parse: HardSwish::parse,
    types: &["i8", "f32"],
    numerics: &[
        Numerics {
            types: "i8",
            rounding: "two 16-bit doubling high multiplies half away from zero, one towards zero; shifts half away from zero",
            widths: "i16 throughout, left shifts saturating; the sum with the zero point saturated to i8",
            tables: "256 entries; multipliers from f64 quotients of scales, rounded to 32 and then to 16 bits",
        },
        Numerics {
            types: "f32",
            rounding: "each step to nearest even",
            widths: "f32; NaN and minus infinity give NaN",
            tables: "none",
        },
    ],
};

/// `value * 2^amount`, saturated to 16 bits.
fn shift_left_saturating(value: i16, amount: i32) -> i16 {
    let shifted = i64::from(value) << amount.clamp(0, 31);
    shifted.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}

/// The product of two values in Q0.15, half away from zero, -1 x -1 saturated.
fn multiply_rounding(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    let product = i32::from(a) * i32::from(b);
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    ((product + nudge) / (1 << 15)) as i16
}

/// The product of two values in Q0.15, towards zero, -1 x -1 saturated.
fn multiply_truncating(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    (i32::from(a) * i32::from(b) / (1 << 15)) as i16
}

/// `value / 2^exponent`, half away from zero, with a mask of 16 bits as the reference's: from an
/// exponent of 16 on the mask is all ones, and positive values become 1.
fn divide_rounding(value: i16, exponent: i32) -> i16 {
    let exponent = exponent.clamp(0, 31);
    let mask = ((1i64 << exponent) - 1) as i16;
    let threshold = (mask >> 1) + i16::from(value < 0);
    (i32::from(value) >> exponent) as i16 + i16::from((value & mask) > threshold)
}

/// A multiplier of 32 bits rounded to 16.
fn to_16_bits(multiplier: i32) -> i16 {
    const HALF: i32 = 1 << 15;
    if multiplier >= i32::MAX - HALF { i16::MAX } else { ((multiplier + HALF) >> 16) as i16 }
}

/// The int8 function on raw quantized values.
///
/// Source: `HardSwishPrepare` of TensorFlow Lite Micro, `reference/hard_swish.h` of TensorFlow Lite.
fn function(input: &Tensor, output: &Tensor) -> Result<impl Fn(i32) -> i32 + use<>, Refusal> {
    let (input_scale, input_zero) = per_tensor(input, "the input")?;
    let (output_scale, output_zero) = per_tensor(output, "the output")?;
    // The input with seven bits more.
    let fine_scale = f64::from(input_scale) / 128.0;
    let (output_multiplier, output_exponent) =
        quantize_multiplier(fine_scale / f64::from(output_scale));
    if output_exponent > 0 {
        return Err(Refusal::new(format!(
            "an output scale of {output_scale} for an input scale of {input_scale}"
        ))
        .help("the output scale must be at least 1/128 of the input scale"));
    }
    let (gate_multiplier, gate_exponent) = quantize_multiplier(fine_scale / (3.0 / 32768.0));
    let (output_multiplier, gate_multiplier) =
        (to_16_bits(output_multiplier), to_16_bits(gate_multiplier));
    Ok(move |x: i32| {
        let fine = (x.wrapping_sub(input_zero) as i16).wrapping_mul(1 << 7);
        let scaled = multiply_rounding(fine, output_multiplier);
        // `x / 3`, saturated to [-1, 1] in Q0.15; the last left shift comes after the multiplication.
        let mut gate = fine;
        if gate_exponent > 0 {
            gate = shift_left_saturating(gate, gate_exponent - 1);
        }
        gate = multiply_rounding(gate, gate_multiplier);
        if gate_exponent > 0 {
            gate = shift_left_saturating(gate, 1);
        }
        if gate_exponent < 0 {
            gate = divide_rounding(gate, -gate_exponent);
        }
        // To [0, 1].
        let gate = ((i32::from(gate) + (1 << 15)) >> 1) as i16;
        let product = multiply_truncating(gate, scaled);
        let value = divide_rounding(product, -output_exponent).wrapping_add(output_zero as i16);
        i32::from(value.clamp(-128, 127))
    })
}

impl Operator for HardSwish {
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

impl Op for HardSwish {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        match (input.dtype(), output.dtype()) {
            (DType::I8, DType::I8) => unary::evaluate_i8(cx, function(input, output)?),
            // In f32 throughout: the product of a large value and the gate overflows, as there.
            (DType::F32, DType::F32) => {
                unary::evaluate(cx, |x: f32| x * (x + 3.0).clamp(0.0, 6.0) / 6.0)
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
                unary::lower_table(cx, unary::table(DType::I8, function(input, output)?));
                Ok(())
            }
            (DType::F32, DType::F32) => {
                unary::lower_kernel(cx, HardSwishF32 {}, HardSwishF32InPlace {});
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
    fn int8_is_near_the_function() {
        for scale in [0.01f32, 0.05, 0.5] {
            let input = tensor(DType::I8, &[1], Some((scale, -10)));
            let output = tensor(DType::I8, &[1], Some((scale, -100)));
            let function = function(&input, &output).unwrap();
            for x in -128..=127 {
                let real = f64::from(x + 10) * f64::from(scale);
                let want = real * (real + 3.0).clamp(0.0, 6.0) / 6.0 / f64::from(scale);
                let want = (want.round() as i32 - 100).clamp(-128, 127);
                assert!((function(x) - want).abs() <= 1, "{scale} {x}: {} {want}", function(x));
            }
        }
    }

    #[test]
    fn extreme_scales_do_not_fail() {
        for scale in [1e-30f32, 1e-10, 1e10, 1e30] {
            let input = tensor(DType::I8, &[1], Some((scale, 0)));
            let output = tensor(DType::I8, &[1], Some((scale, 0)));
            let function = function(&input, &output).unwrap();
            assert!((-128..=127).all(|x| (-128..=127).contains(&function(x))));
        }
    }

    #[test]
    fn an_output_scale_that_is_too_fine_is_refused() {
        let input = tensor(DType::I8, &[1], Some((1.0, 0)));
        let output = tensor(DType::I8, &[1], Some((0.001, 0)));
        assert!(function(&input, &output).is_err());
    }
}
