//! QUANTIZE: f32 to integers, and integers from one scale or type to another.

use crate::eval::Evaluation;
use crate::lower::{Arg, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{limits, per_tensor, quantize_multiplier};
use crate::reference::multiply_by_quantized_multiplier;
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{
    QuantizeI8, QuantizeI16, QuantizeU8, RequantizeI8I16, RequantizeI8I32, RequantizeI16I8,
    RequantizeI16I16, RequantizeI16I32, RequantizeI16U8, RequantizeI32I8, RequantizeI32I16,
    RequantizeU8I16,
};

operator! {
    /// Input: `x` of any shape.
    Quantize "quantize" {
        /// Element type of the output.
        to: DType,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Quantize::NAME,
    tflite: &[TfliteSpelling {
        code: "QUANTIZE",
        versions: 1..=3,
        read: |node| Ok(Quantize { to: unary::output_dtype(node)? }.into()),
    }],
    parse: Quantize::parse,
    types: &["f32 to i8, u8, i16", "between i8, u8, i16", "i8, i16 to i32", "i32 to i8, i16"],
    numerics: &[
        Numerics {
            types: "f32 to i8, u8, i16",
            rounding: "the f32 quotient by the scale, half away from zero",
            widths: "saturated to 32 bits, then, with the zero point, to the type; NaN becomes the zero point. (The reference leaves values outside of 32 bits to the machine.)",
            tables: "none",
        },
        Numerics {
            types: "integers to integers",
            rounding: "two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "difference and sum with the zero points in 32 bits, wrapping; products of 64 bits; saturated to the type",
            tables: "multiplier from the f64 quotient input scale / output scale; 256 entries where both types have 8 bits",
        },
    ],
};

const SUPPORTED: &str =
    "f32 to i8, u8 and i16; between i8, u8 and i16; i8 and i16 to i32; i32 to i8 and i16";

/// Whether integers of one type can become integers of the other.
fn is_supported(from: DType, to: DType) -> bool {
    let small = |dtype| matches!(dtype, DType::I8 | DType::U8 | DType::I16);
    let signed = |dtype| matches!(dtype, DType::I8 | DType::I16);
    (small(from) && small(to))
        || (signed(from) && to == DType::I32)
        || (from == DType::I32 && signed(to))
}

/// The function between integers on raw values.
///
/// Source: `reference/requantize.h` of TensorFlow Lite.
fn function(input: &Tensor, output: &Tensor) -> Result<impl Fn(i32) -> i32 + use<>, Refusal> {
    let (from, to) = (per_tensor(input, "the input")?, per_tensor(output, "the output")?);
    let (multiplier, shift) = quantize_multiplier(f64::from(from.0) / f64::from(to.0));
    let (min, max) =
        limits(output.dtype()).ok_or_else(|| unary::refuse_types(input, output, SUPPORTED))?;
    Ok(move |x: i32| {
        let x = x.wrapping_sub(from.1);
        let scaled = multiply_by_quantized_multiplier(x, multiplier, shift);
        scaled.wrapping_add(to.1).clamp(min, max)
    })
}

/// The raw values of the integer input.
fn integers(cx: &Evaluation<'_>) -> Result<Vec<i32>, Refusal> {
    Ok(match cx.input(0)?.dtype() {
        DType::I8 => cx.values::<i8>(0)?.into_iter().map(i32::from).collect(),
        DType::U8 => cx.values::<u8>(0)?.into_iter().map(i32::from).collect(),
        DType::I16 => cx.values::<i16>(0)?.into_iter().map(i32::from).collect(),
        _ => cx.values::<i32>(0)?,
    })
}

/// Gives the output raw values that are inside of its integer type.
fn set_integers(cx: &mut Evaluation<'_>, values: &[i32]) -> Result<(), Refusal> {
    match cx.output(0)?.dtype() {
        DType::I8 => cx.set(0, &values.iter().map(|&v| v as i8).collect::<Vec<_>>()),
        DType::U8 => cx.set(0, &values.iter().map(|&v| v as u8).collect::<Vec<_>>()),
        DType::I16 => cx.set(0, &values.iter().map(|&v| v as i16).collect::<Vec<_>>()),
        _ => cx.set(0, values),
    }
}

impl Operator for Quantize {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        unary::infer(inputs, Some(self.to))
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Quantize {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let y: Vec<i32> = match (input.dtype(), output.dtype()) {
            (DType::F32, to @ (DType::I8 | DType::U8 | DType::I16)) => {
                let (scale, zero_point) = per_tensor(output, "the output")?;
                let (min, max) = limits(to).unwrap_or_default();
                // `as` makes NaN 0 and saturates.
                let quantize = |x: f32| {
                    ((x / scale).round() as i32).saturating_add(zero_point).clamp(min, max)
                };
                cx.values::<f32>(0)?.into_iter().map(quantize).collect()
            }
            (from, to) if is_supported(from, to) => {
                integers(cx)?.into_iter().map(function(input, output)?).collect()
            }
            _ => return Err(unary::refuse_types(input, output, SUPPORTED)),
        };
        set_integers(cx, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        let (from, to) = (input.dtype(), output.dtype());
        let args = [Arg::Input(0), Arg::Output(0)];
        let (output_scale, output_zero_point) = per_tensor(output, "the output")?;
        if from == DType::F32 {
            let (scale, zero_point) = (output_scale, output_zero_point);
            match to {
                DType::I8 => cx.call(QuantizeI8 { scale, zero_point }, &args),
                DType::U8 => cx.call(QuantizeU8 { scale, zero_point }, &args),
                DType::I16 => cx.call(QuantizeI16 { scale, zero_point }, &args),
                _ => return Err(unary::refuse_types(input, output, SUPPORTED)),
            }
            return Ok(());
        }
        if !is_supported(from, to) {
            return Err(unary::refuse_types(input, output, SUPPORTED));
        }
        let (input_scale, input_zero_point) = per_tensor(input, "the input")?;
        if from == to && input_scale == output_scale && input_zero_point == output_zero_point {
            cx.alias(0, 0);
            return Ok(());
        }
        if from.bits() == 8 && to.bits() == 8 {
            unary::lower_table(cx, unary::table(from, function(input, output)?));
            return Ok(());
        }
        let (multiplier, shift) =
            quantize_multiplier(f64::from(input_scale) / f64::from(output_scale));
        macro_rules! call {
            ($Kernel:ident) => {
                cx.call($Kernel { input_zero_point, output_zero_point, multiplier, shift }, &args)
            };
        }
        match (from, to) {
            (DType::I8, DType::I16) => call!(RequantizeI8I16),
            (DType::I8, DType::I32) => call!(RequantizeI8I32),
            (DType::U8, DType::I16) => call!(RequantizeU8I16),
            (DType::I16, DType::I8) => call!(RequantizeI16I8),
            (DType::I16, DType::U8) => call!(RequantizeI16U8),
            (DType::I16, DType::I16) => call!(RequantizeI16I16),
            (DType::I16, DType::I32) => call!(RequantizeI16I32),
            (DType::I32, DType::I8) => call!(RequantizeI32I8),
            (DType::I32, DType::I16) => call!(RequantizeI32I16),
            _ => return Err(unary::refuse_types(input, output, SUPPORTED)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unary::tests::tensor;

    #[test]
    fn bytes_change_sign_by_their_top_bit() {
        let input = tensor(DType::I8, &[1], Some((0.1, -128)));
        let output = tensor(DType::U8, &[1], Some((0.1, 0)));
        let function = function(&input, &output).unwrap();
        assert!((-128..=127).all(|x| function(x) == x + 128));
    }

    #[test]
    fn every_supported_pair_has_a_kernel() {
        let types = [DType::I8, DType::U8, DType::I16, DType::I32, DType::F32, DType::F16];
        let target = kinglet_target::Target::host();
        for from in types {
            for to in types {
                let input = tensor(from, &[3], Some((0.5, 1)));
                let output = tensor(to, &[3], Some((0.25, 2)));
                let mut cx = Lower::new(&target, vec![Some(&input)], vec![&output]);
                let lowered = Quantize { to }.lower(&mut cx).is_ok();
                let bytes = vec![0u8; input.ty.bytes()];
                let mut cx = Evaluation::new(vec![Some((&input, &bytes))], vec![&output]);
                let evaluated = Quantize { to }.evaluate(&mut cx).is_ok();
                assert_eq!(lowered, evaluated, "{from} to {to}");
                let float = from == DType::F32 && matches!(to, DType::I8 | DType::U8 | DType::I16);
                assert_eq!(lowered, float || is_supported(from, to), "{from} to {to}");
            }
        }
    }
}
