//! DEQUANTIZE: quantized integers, or f16, to f32.

use crate::eval::{Evaluation, elements};
use crate::lower::{Arg, ConstantData, Lower};
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantization};
use crate::unary;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{CopyBytes, DequantizeI8, DequantizeI16, DequantizeU8};

operator! {
    /// Input: `x` of any shape.
    Dequantize "dequantize" {}
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Dequantize::NAME,
    tflite: &[TfliteSpelling {
        code: "DEQUANTIZE",
        versions: 1..=5,
        read: |_| Ok(Dequantize {}.into()),
    }],
    parse: Dequantize::parse,
    types: &["i8, u8, i16 to f32", "f16 to f32, and scales per channel, of constants"],
    numerics: &[
        Numerics {
            types: "i8, u8, i16 to f32",
            rounding: "the product of scale and integer to nearest even",
            widths: "input minus zero point in 32 bits, converted to f32 exactly",
            tables: "none",
        },
        Numerics { types: "f16 to f32", rounding: "none: exact", widths: "f32", tables: "none" },
    ],
};

const SUPPORTED: &str = "i8, u8 and i16 to f32, and f16 to f32 of constants";

/// The f32 that half-precision bits stand for; exact, NaN keeps its payload.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    let magnitude = match exponent {
        // A subnormal is its fraction in units of 2^-24, exact in f32.
        0 => (fraction as f32 * f32::from_bits((127 - 24) << 23)).to_bits(),
        0x1f => 0x7f80_0000 | (fraction << 13),
        _ => ((exponent + 127 - 15) << 23) | (fraction << 13),
    };
    f32::from_bits(sign | magnitude)
}

/// The real values of quantized integers, per tensor or per channel, or of f16.
fn real_values(input: &Tensor, bytes: &[u8]) -> Result<Vec<f32>, Refusal> {
    let integers: Vec<i32> = match input.dtype() {
        DType::F16 => return Ok(elements::<u16>(bytes).into_iter().map(from_half).collect()),
        DType::I8 => elements::<i8>(bytes).into_iter().map(i32::from).collect(),
        DType::U8 => elements::<u8>(bytes).into_iter().map(i32::from).collect(),
        DType::I16 => elements::<i16>(bytes).into_iter().map(i32::from).collect(),
        dtype => {
            return Err(Refusal::new(format!("{dtype} to f32 is not supported"))
                .help(format!("the supported element types are {SUPPORTED}")));
        }
    };
    let quantization = quantization(input, "the input")?;
    let channels = quantization.scales.len();
    let axis_len = input.shape().get(quantization.axis).copied().unwrap_or(0);
    if channels == 0 || (channels != 1 && channels != axis_len) {
        return Err(Refusal::new(format!("{channels} scales along {axis_len} channels")));
    }
    // Elements from one channel to the next.
    let inner: usize = input.shape().iter().skip(quantization.axis.saturating_add(1)).product();
    let real = |(index, x): (usize, i32)| {
        let channel = index / inner.max(1) % channels;
        let scale = quantization.scales.get(channel).copied().unwrap_or(0.0);
        let zero = quantization.zero_points.get(channel);
        let zero = zero.or(quantization.zero_points.first()).copied().unwrap_or(0);
        scale * i64::from(x).wrapping_sub(zero) as f32
    };
    Ok(integers.into_iter().enumerate().map(real).collect())
}

impl Operator for Dequantize {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        unary::infer(inputs, Some(DType::F32))
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Dequantize {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        if output.dtype() != DType::F32 {
            return Err(unary::refuse_types(input, output, SUPPORTED));
        }
        let y = real_values(input, cx.bytes(0)?)?;
        cx.set(0, &y)
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (input, output) = (cx.input(0)?, cx.output(0)?);
        if output.dtype() != DType::F32 {
            return Err(unary::refuse_types(input, output, SUPPORTED));
        }
        if let Some(data) = input.constant() {
            // Known now; passes that fold constants leave nothing to do here.
            let values = ConstantData::F32(real_values(input, data.bytes())?);
            let values = cx.constant("values", "", Some(0), values);
            cx.call(CopyBytes {}, &[values, Arg::Output(0)]);
            return Ok(());
        }
        let args = [Arg::Input(0), Arg::Output(0)];
        let from = input.dtype();
        if !matches!(from, DType::I8 | DType::U8 | DType::I16) {
            return Err(unary::refuse_types(input, output, SUPPORTED));
        }
        let (scale, zero_point) = per_tensor(input, "the input")?;
        match from {
            DType::I8 => cx.call(DequantizeI8 { scale, zero_point }, &args),
            DType::U8 => cx.call(DequantizeU8 { scale, zero_point }, &args),
            _ => cx.call(DequantizeI16 { scale, zero_point }, &args),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unary::tests::tensor;
    use kinglet_graph::Quantization;

    #[test]
    fn halves_are_exact() {
        let cases = [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, want) in cases {
            assert_eq!(from_half(bits).to_bits(), f32::to_bits(want), "{bits:#06x}");
        }
        assert!(from_half(0x7e01).is_nan());
    }

    #[test]
    fn channels_have_their_own_scale() {
        let mut input = tensor(DType::I8, &[2, 3, 2], None);
        input.quantization = Some(Quantization {
            scales: vec![1.0, 10.0, 100.0],
            zero_points: vec![0, 1, 2],
            axis: 1,
        });
        let output = tensor(DType::F32, &[2, 3, 2], None);
        let bytes = [5u8; 12];
        let mut cx = Evaluation::new(vec![Some((&input, &bytes))], vec![&output]);
        Dequantize {}.evaluate(&mut cx).unwrap();
        let (outputs, _) = cx.finish();
        let row = [5.0, 5.0, 40.0, 40.0, 300.0, 300.0];
        assert_eq!(elements::<f32>(&outputs[0]), [row, row].concat());
    }
}
