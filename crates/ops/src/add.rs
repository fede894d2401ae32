//! ADD: the sum of two tensors.

use crate::broadcast;
use crate::common::Activation;
use crate::eval::Evaluation;
use crate::lower::Lower;
use crate::op::{Cost, Definition, Numerics, Op, Refusal, TfliteSpelling};
use crate::quant::{per_tensor, quantize_multiplier};
use crate::reference;
use kinglet_graph::{Attribute, DType, InferError, Operator, Tensor, TensorType};
use kinglet_kernels::{AddF32, AddI8, AddI16, AddI32};
use std::sync::Arc;

operator! {
    /// Inputs: `a`, `b`, repeated to one shape of up to six axes.
    Add "add" {
        /// Fused activation.
        activation: Activation,
    }
}

/// The operator's entry in the list.
pub const DEFINITION: Definition = Definition {
    name: Add::NAME,
    tflite: &[TfliteSpelling {
        code: "ADD",
        versions: 1..=5,
        read: |node| {
            // A choice between two kernels for 16 bits elsewhere; TensorFlow Lite Micro has one.
            node.ignore("pot_scale_int16")?;
            Ok(Add { activation: node.word("fused_activation_function", Activation::from_tflite)? }
                .into())
        },
    }],
    parse: Add::parse,
    types: TYPES,
    numerics: &[
        Numerics {
            types: "i8, i16",
            rounding: "both inputs and the sum are rescaled with two roundings: doubling high multiply half up, then shift half away from zero",
            widths: "i32: inputs shifted left by 20 (i8) or 15 (i16), half of that left after their rescaling; saturated to the fused activation's range",
            tables: "multipliers from the f64 quotients scale / (2 x greater scale) and 2 x greater scale / (2^20 or 2^15 x output scale)",
        },
        Numerics {
            types: "i32, not quantized",
            rounding: "none",
            widths: "i32, wrapping; no fused activation",
            tables: "none",
        },
        NUMERICS_F32,
    ],
};

/// The element types of sums, differences and products.
pub(crate) const TYPES: &[&str] = &["i8", "i16", "i32", "f32"];

/// The f32 row of sums, differences and products.
pub(crate) const NUMERICS_F32: Numerics = Numerics {
    types: "f32",
    rounding: "to nearest even",
    widths: "f32; clamped to the finite range, NaN passes",
    tables: "none",
};

/// A sum or difference of quantized tensors: multipliers and shifts (positive to the left) as the
/// reference derives them.
pub(crate) struct Rescale {
    /// Zero points of the inputs.
    zero_points: [i32; 2],
    /// Multiplier and shift of the inputs.
    inputs: [(i32, i32); 2],
    /// Multiplier and shift of the sum.
    sum: (i32, i32),
    /// Left shift of the inputs before they are multiplied.
    left_shift: u32,
    output_zero_point: i32,
    range: (i32, i32),
}

/// The real multipliers of both inputs and the sum, from the scales of both inputs and the output and
/// `2^left_shift`.
pub(crate) type Multipliers = fn(f32, f32, f32, i32) -> [f64; 3];

impl Rescale {
    pub(crate) fn new(
        inputs: [&Tensor; 2],
        output: &Tensor,
        activation: Activation,
        multipliers: Multipliers,
    ) -> Result<Self, Refusal> {
        let (a_scale, a_zero) = per_tensor(inputs[0], "the first input")?;
        let (b_scale, b_zero) = per_tensor(inputs[1], "the second input")?;
        let (scale, output_zero_point) = per_tensor(output, "the output")?;
        let left_shift = if output.dtype() == DType::I16 { 15 } else { 20 };
        let [a, b, sum] = multipliers(a_scale, b_scale, scale, 1 << left_shift);
        let below_one = |real: f64, what: &str| {
            match quantize_multiplier(real) {
            (multiplier, shift) if real > 0.0 && shift <= 0 => Ok((multiplier, shift)),
            _ => Err(Refusal::new(format!("{what} would be multiplied by {real}"))
                .help("the output's scale is too small beside those of the inputs, or a scale is 0: quantize the model again")),
        }
        };
        Ok(Self {
            zero_points: [a_zero, b_zero],
            inputs: [below_one(a, "the first input")?, below_one(b, "the second input")?],
            sum: below_one(sum, "the sum")?,
            left_shift,
            output_zero_point,
            range: activation.range_quantized(output)?,
        })
    }

    /// The reference's sum; `b_sign` is -1 for a difference.
    pub(crate) fn sum(&self, a: i32, b: i32, b_sign: i32) -> i32 {
        let [a, b] = [(a, 0), (b, 1)].map(|(value, i): (i32, usize)| {
            let shifted = (value - self.zero_points[i]).wrapping_mul(1 << self.left_shift);
            let (multiplier, shift) = self.inputs[i];
            reference::multiply_by_quantized_multiplier(shifted, multiplier, shift)
        });
        let raw = a.wrapping_add(b.wrapping_mul(b_sign));
        let (multiplier, shift) = self.sum;
        let scaled = reference::multiply_by_quantized_multiplier(raw, multiplier, shift);
        scaled.wrapping_add(self.output_zero_point).clamp(self.range.0, self.range.1)
    }

    /// The positions of the inputs in the order of the kernel's operands: the input of the greater
    /// scale, which the reference multiplies by exactly one half, comes first.
    fn order(&self) -> Result<[usize; 2], Refusal> {
        let half = (1 << 30, 0);
        match self.inputs {
            [first, _] if first == half => Ok([0, 1]),
            [_, second] if second == half => Ok([1, 0]),
            _ => Err(Refusal::new("neither input has the multiplier one half")),
        }
    }
}

pub(crate) fn multipliers(a: f32, b: f32, output: f32, left: i32) -> [f64; 3] {
    let twice_max = 2.0 * f64::from(a.max(b));
    [
        f64::from(a) / twice_max,
        f64::from(b) / twice_max,
        twice_max / (f64::from(left) * f64::from(output)),
    ]
}

/// The range of an unquantized i32 output.
pub(crate) fn range_i32(
    activation: Activation,
    tensors: [&Tensor; 3],
) -> Result<(i32, i32), Refusal> {
    if tensors.iter().any(|tensor| tensor.quantization.is_some()) {
        return Err(Refusal::new("i32 tensors with a scale are not supported")
            .help("quantize to int8 or int16, or leave integers unquantized"));
    }
    Ok(match activation {
        Activation::None => (i32::MIN, i32::MAX),
        Activation::Relu => (0, i32::MAX),
        Activation::ReluN1To1 => (-1, 1),
        Activation::Relu6 => (0, 6),
    })
}

impl Add {
    fn range_i32(&self, tensors: [&Tensor; 3]) -> Result<(i32, i32), Refusal> {
        if self.activation != Activation::None {
            return Err(Refusal::new("an activation after an i32 sum")
                .help("TensorFlow Lite Micro ignores it and TensorFlow Lite does not: use an operator of its own"));
        }
        range_i32(self.activation, tensors)
    }
}

impl Operator for Add {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.list_attributes()
    }

    fn infer(&self, inputs: &[Option<&Tensor>]) -> Result<Vec<TensorType>, InferError> {
        broadcast::infer(inputs)
    }

    fn assigned_states(&self) -> &'static [usize] {
        &[]
    }
}

impl Op for Add {
    fn evaluate(&self, cx: &mut Evaluation<'_>) -> Result<(), Refusal> {
        let (a, b, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let rescale = || Rescale::new([a, b], output, self.activation, multipliers);
        match a.dtype() {
            DType::I8 => {
                let rescale = rescale()?;
                broadcast::evaluate(cx, |a: i8, b: i8| rescale.sum(a.into(), b.into(), 1) as i8)
            }
            DType::I16 => {
                let rescale = rescale()?;
                broadcast::evaluate(cx, |a: i16, b: i16| rescale.sum(a.into(), b.into(), 1) as i16)
            }
            DType::I32 => {
                self.range_i32([a, b, output])?;
                broadcast::evaluate(cx, |a: i32, b: i32| a.wrapping_add(b))
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                broadcast::evaluate(cx, |a: f32, b: f32| reference::clamp_f32(a + b, min, max))
            }
            _ => Err(broadcast::refuse_type(a, "i8, i16, i32 and f32")),
        }
    }

    fn cost(&self, _inputs: &[Option<&Tensor>], outputs: &[&Tensor]) -> Cost {
        Cost::of_outputs(outputs)
    }

    fn lower(&self, cx: &mut Lower<'_>) -> Result<(), Refusal> {
        let (a, b, output) = (cx.input(0)?, cx.input(1)?, cx.output(0)?);
        let rescale = || Rescale::new([a, b], output, self.activation, multipliers);
        match a.dtype() {
            DType::I8 => lower_i8(cx, &rescale()?, 1),
            DType::I16 => lower_i16(cx, &rescale()?, 1),
            DType::I32 => {
                let (min, max) = self.range_i32([a, b, output])?;
                broadcast::lower(cx, [0, 1], AddI32 { min, max })
            }
            DType::F32 => {
                let (min, max) = self.activation.range_f32();
                broadcast::lower(cx, [0, 1], AddF32 { min, max })
            }
            _ => Err(broadcast::refuse_type(a, "i8, i16, i32 and f32")),
        }
    }

    fn with_activation(&self, activation: Activation) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { activation: self.activation.then(activation)? }))
    }
}

/// Lowers an int8 sum or difference.
pub(crate) fn lower_i8(cx: &mut Lower<'_>, rescale: &Rescale, b_sign: i32) -> Result<(), Refusal> {
    if broadcast::lower_table(cx, |a, b| rescale.sum(a.into(), b.into(), b_sign) as i8)? {
        return Ok(());
    }
    let [first, second] = rescale.order()?;
    let signs = [1, b_sign];
    // The form of `kinglet_kernels::binary::scaled`; shifts are to the right here.
    let words = |(multiplier, shift): (i32, i32)| {
        let scale = if multiplier == 0 || shift < -30 { 0 } else { 1 << (30 + shift) };
        (multiplier.wrapping_mul(2), scale)
    };
    let (b_multiplier, b_scale) = words(rescale.inputs[second]);
    let (multiplier, scale) = words(rescale.sum);
    let a_factor = signs[first] << (rescale.left_shift - 1);
    let kernel = AddI8 {
        a_factor,
        a_offset: rescale.zero_points[first].wrapping_mul(a_factor).wrapping_neg(),
        b_offset: rescale.zero_points[second].wrapping_shl(rescale.left_shift).wrapping_neg(),
        b_multiplier,
        b_scale,
        b_sign: signs[second],
        multiplier,
        scale,
        zero_point: rescale.output_zero_point,
        min: rescale.range.0,
        max: rescale.range.1,
    };
    broadcast::lower(cx, [first, second], kernel)
}

/// Lowers an int16 sum or difference.
pub(crate) fn lower_i16(cx: &mut Lower<'_>, rescale: &Rescale, b_sign: i32) -> Result<(), Refusal> {
    let [first, second] = rescale.order()?;
    let signs = [1, b_sign];
    let (b_multiplier, b_shift) = rescale.inputs[second];
    let (multiplier, shift) = rescale.sum;
    let kernel = AddI16 {
        a_zero_point: rescale.zero_points[first],
        a_factor: signs[first] << (rescale.left_shift - 1),
        b_zero_point: rescale.zero_points[second],
        b_multiplier,
        b_shift: b_shift.unsigned_abs(),
        b_sign: signs[second],
        multiplier,
        shift: shift.unsigned_abs(),
        zero_point: rescale.output_zero_point,
        min: rescale.range.0,
        max: rescale.range.1,
    };
    broadcast::lower(cx, [first, second], kernel)
}
